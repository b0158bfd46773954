"""The way to a hub: ``python -m bench.relay`` prints what is appended, a backlog, and how late trades arrive.

CPU time beside the rates: other work on the machine changes only the rates.
"""

import argparse
import contextlib
import re
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import psutil

from bench.feed import Subscribers
from bench.probes.fill import fill
from common.event import Event
from common.journal.hub import Batch
from common.journal.store import Journal
from common.timestamps import Timestamp
from tests.system.hub_faults.load import Client
from tests.system.relay import Relay, RelayProcess, find_journal
from tests.system.stack import Stack
from tests.waiting import wait_for

APPENDED: Final = 200_000
APPEND_SIZES: Final = (500, 8_000)
ROUNDS: Final = 3
BACKLOG_SECONDS: Final = 3600


def measure_append(folder: Path, size: int) -> tuple[float, float]:
    """Return the trades that a hub's journal takes a second, by the clock and by CPU time, ``size`` in a commit."""
    timestamp = Timestamp("2026-01-31T09:30:00.000000Z")
    events = [
        Event(
            timestamp, f"SYMBOL{n % 20}", "SELL" if n % 3 else "BUY", f"{20_000 + n % 7919}.{n % 97:02}", f"{n % 13}.1",
            seq=n + 1, id=f"01a21ceb-7a45-7e40-85d7-{n:012x}", journal_id="a" * 32, accepted_at=timestamp,
        )
        for n in range(APPENDED)
    ]  # fmt: skip
    with Journal(folder / f"append-{size}-{time.monotonic_ns()}.db", "full") as journal:
        journal.adopt()
        began, used = time.perf_counter(), time.process_time()
        for start in range(0, APPENDED, size):
            journal.append_batches([Batch("a" * 32, start, events[start : start + size])])
        return APPENDED / (time.perf_counter() - began), APPENDED / (time.process_time() - used)


class Way:
    """A host, a hub and what carries trades from one to the other."""

    def __init__(self, folder: Path, opened: contextlib.ExitStack, backlog: int = 0) -> None:
        """Start the host, with so many trades; ``connect`` starts the rest."""
        self.host, self.hub = (self._make(folder, name, opened) for name in ("host", "hub"))
        self._opened = opened
        if backlog:
            fill(find_journal(self.host), backlog, 20)
        self.host.start("web")
        self.processes: dict[str, RelayProcess] = {}

    @staticmethod
    def _make(folder: Path, name: str, opened: contextlib.ExitStack) -> Stack:
        (folder / name).mkdir(parents=True)
        settings = {"WEB_CONCURRENCY": "1", "AUTH": "off", "WRITES_PER_SECOND": "0", "JOURNAL_SYNC": "full"}
        return opened.enter_context(Stack(folder / name, **settings))

    def connect(self) -> None:
        """Start what carries the trades."""
        self.processes = {"pull": Relay(self.hub, [self.host])}
        for process in self.processes.values():
            self._opened.callback(process.end)

    def read_cpu(self) -> dict[str, float]:
        """Return the CPU time in seconds of each process on the way."""
        workers = {"host's worker": self.host.find("web").children()[0].pid}
        pids = {name: process.process.pid for name, process in self.processes.items()} | workers
        return {name: sum(psutil.Process(pid).cpu_times()[:2]) for name, pid in pids.items()}

    def read_memory(self) -> dict[str, float]:
        """Return the most memory in MB that each process of the relay has had."""
        return {name: read_peak(process.process.pid) for name, process in self.processes.items()}


def read_peak(pid: int) -> float:
    """Return the most memory in MB that a process has had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def measure_backlog(way: Way, trades: int) -> Iterator[str]:
    """Yield what it takes to bring a backlog of trades to an empty hub."""
    before = way.read_cpu()
    began = time.monotonic()
    way.connect()
    wait_for(lambda: way.hub.journalled() >= trades, "the backlog has arrived", BACKLOG_SECONDS, 0.2)
    seconds = time.monotonic() - began
    yield f"backlog of {trades:,} trades: {seconds / 60:.1f} min, {trades / seconds:,.0f} a second"
    for name, used in way.read_cpu().items():
        spent = used - before.get(name, 0.0)
        yield f"  {name}: {spent:.0f} s of CPU, {spent / trades * 1e6:.1f} µs a trade"
    for name, memory in way.read_memory().items():
        yield f"  {name}: at most {memory:.0f} MB"


class Clock:
    """Notes when each seq was committed at the host and at the hub, whose seqs are the same with one host."""

    def __init__(self, way: Way) -> None:
        """Keep the journals to look at."""
        self._paths = [find_journal(way.host), find_journal(way.hub)]
        self.times: list[list[float]] = [[], []]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Clock":  # noqa: PYI034 - it is final
        """Begin to look, every millisecond."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._stopping.set()
        self._thread.join()

    def _look(self) -> None:
        with contextlib.ExitStack() as opened:
            connect = (sqlite3.connect(f"file:{path}?mode=ro", uri=True) for path in self._paths)
            databases = [opened.enter_context(contextlib.closing(db)) for db in connect]
            while not self._stopping.wait(0.001):
                for db, times in zip(databases, self.times, strict=True):
                    (seq,) = db.execute("SELECT coalesce(max(seq), 0) FROM trades").fetchone()
                    times.extend([time.monotonic()] * (seq - len(times)))

    def list_delays(self) -> list[float]:
        """List the seconds from the commit at the host to that at the hub."""
        host, hub = self.times
        return [max(0.0, there - here) for here, there in zip(host, hub, strict=False)]


def measure_delay(way: Way, rate: float, seconds: float) -> Iterator[str]:
    """Yield how late trades arrive at the hub and at its feed, at a rate, and the CPU that the way takes meanwhile."""
    way.connect()
    way.hub.start("web")
    client = Client(way.host, rate)
    with Subscribers(int(way.hub.settings["WEBAPP_HTTP_PORT"]), 1) as feed, Clock(way) as clock:
        before, began = way.read_cpu(), time.monotonic()
        client.start()
        time.sleep(seconds)
        lasted, after = time.monotonic() - began, way.read_cpu()
        client.stopping.set()
        client.join(60)
        wait_for(lambda: len(clock.times[1]) >= len(client.accepted), "all have arrived", 120)
        wait_for(lambda: len(feed.ids[0]) >= len(client.accepted), "the feed has sent all", 120)
    yield f"at {len(client.accepted) / lasted:,.0f} trades a second for {lasted:.0f} s:"
    yield f"  commit at the host to commit at the hub: {write_delays(clock.list_delays())}"
    yield f"  acceptance to the hub's feed: {write_delays(feed.delays)}"
    for name, used in after.items():
        yield f"  {name}: {(used - before[name]) / lasted * 100:.1f} % of a core"


def write_delays(delays: Sequence[float]) -> str:
    """Write the median and the 99th percentile."""
    return f"p50 {median(delays) * 1000:.0f} ms, p99 {quantiles(delays, n=100)[98] * 1000:.0f} ms"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.relay")
    parser.add_argument("--backlog", type=int, default=1_000_000, help="trades")
    parser.add_argument("--rate", type=float, default=1_000, help="trades per second")
    parser.add_argument("--seconds", type=float, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in APPEND_SIZES:
            clock, cpu = (
                median(each) for each in zip(*(measure_append(folder, size) for _ in range(ROUNDS)), strict=True)
            )
            print(f"hub append, {size:,} in a commit: {clock:,.0f} trades/s, {cpu:,.0f} for each second of CPU")
        with contextlib.ExitStack() as opened:
            for line in measure_delay(Way(folder / "delay", opened), given.rate, given.seconds):
                print(line, flush=True)
        with contextlib.ExitStack() as opened:
            for line in measure_backlog(Way(folder / "backlog", opened, given.backlog), given.backlog):
                print(line, flush=True)


if __name__ == "__main__":
    main()

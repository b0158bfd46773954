"""The way to a hub: ``python -m bench.relay`` prints what is appended, how late trades arrive, and a backlog.

Over HTTP and over NATS, whose nodes sync before they acknowledge. It fails unless the hub has every trade in order.
CPU time beside the rates: other work on the machine changes only the rates.
"""

import argparse
import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Final

from bench.feed import Subscribers
from bench.measure import check_equal
from bench.probes.fill import fill
from bench.ways import BATCH, HttpWay, NatsWay, Way, check_same, open_journal, read_last_seq
from common.event import Event
from common.journal.hub import Batch
from common.journal.store import Journal
from common.timestamps import Timestamp
from tests.system.hub_faults.load import Client
from tests.system.relay import find_journal
from tests.system.stack import BIN
from tests.waiting import wait_for

APPEND_SIZES: Final = (500, 8_000)
ROUNDS: Final = 3
BACKLOG_SECONDS: Final = 900
WAYS: Final[Mapping[str, type[Way]]] = {"http": HttpWay, "nats": NatsWay}


def measure_append(folder: Path, trades: int, size: int) -> tuple[float, float]:
    """Return how many trades a second a hub's journal takes, by the clock and by CPU time, ``size`` in a commit."""
    timestamp = Timestamp("2026-01-31T09:30:00.000000Z")
    events = [
        Event(
            timestamp, f"SYMBOL{n % 20}", "SELL" if n % 3 else "BUY", f"{20_000 + n % 7919}.{n % 97:02}", f"{n % 13}.1",
            seq=n + 1, id=f"01a21ceb-7a45-7e40-85d7-{n:012x}", journal_id="a" * 32, accepted_at=timestamp,
        )
        for n in range(trades)
    ]  # fmt: skip
    with Journal(folder / f"append-{size}-{time.monotonic_ns()}.db", "full") as journal:
        journal.adopt()
        began, used = time.perf_counter(), time.process_time()
        for start in range(0, trades, size):
            journal.append_batches([Batch("a" * 32, start, events[start : start + size])])
        return trades / (time.perf_counter() - began), trades / (time.process_time() - used)


def measure_backlog(way: Way, trades: int) -> Iterator[str]:
    """Yield what it takes to bring a backlog of trades to an empty hub, step by step, without the starts."""
    for step in way.steps:
        way.start(step)
        wait_for(lambda: way.count_passed(step) > 0, f"{step} begins")  # noqa: B023 - called in this turn
        first, began, before = way.count_passed(step), time.monotonic(), way.read_cpu()
        wait_for(lambda: way.count_passed(step) >= trades, f"{step} is done", BACKLOG_SECONDS, 0.02)  # noqa: B023
        seconds, after = time.monotonic() - began, way.read_cpu()
        passed = trades - first
        assert passed > 0, f"{trades} trades passed at once; give a larger --backlog"
        yield f"{step}, a backlog of {trades:,} trades: {passed / seconds:,.0f} a second"
        memory = way.read_memory()
        for name in (step, *way.list_servers()):
            spent = (after[name] - before[name]) / passed
            yield f"  {name}: {spent * 1e6:.1f} µs of CPU a trade, at most {memory[name]:.0f} MB"
        if step == "push":
            yield f"  acknowledgements of {BATCH} trades: {write_delays(way.list_acks())}"
    check_same(find_journal(way.host), find_journal(way.hub), trades)


class Clock:
    """Notes when each seq was committed at the host and at the hub, whose seqs are the same with one host."""

    def __init__(self, way: Way) -> None:
        """Keep the journals to look at."""
        self._host, self._hub = find_journal(way.host), find_journal(way.hub)
        self.host: list[float] = []
        self.hub: list[float] = []
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
        with open_journal(self._host) as host, open_journal(self._hub) as hub:
            while not self._stopping.wait(0.001):
                for db, times in ((host, self.host), (hub, self.hub)):
                    seq = read_last_seq(db)
                    times.extend([time.monotonic()] * (seq - len(times)))


def measure_delay(way: Way, rate: float, seconds: float) -> Iterator[str]:
    """Yield how late trades arrive at the hub and at its feed, at a rate, and what the way takes meanwhile."""
    way.connect()
    way.hub.start("web")
    client = Client(way.host, rate)
    with Subscribers(int(way.hub.settings["WEBAPP_HTTP_PORT"]), 1) as feed, Clock(way) as clock:
        before, began = way.read_cpu(), time.monotonic()
        client.start()
        time.sleep(seconds)
        lasted, after, acks = time.monotonic() - began, way.read_cpu(), way.list_acks()
        client.stopping.set()
        client.join(60)
        count = len(client.accepted)
        wait_for(lambda: len(clock.hub) >= count, "all have arrived", 120)
        wait_for(lambda: len(feed.ids[0]) >= count, "the feed has sent all", 120)
    check_same(find_journal(way.host), find_journal(way.hub), count)
    check_equal("feeds with a gap or a duplicate", feed.count_faults(count), 0)
    yield f"at {count / lasted:,.0f} trades a second for {lasted:.0f} s:"
    yield f"  commit at the host to commit at the hub: {write_delays(list_delays(clock.host, clock.hub))}"
    yield f"  commit at the host to the hub's feed: {write_delays(list_delays(clock.host, feed.times))}"
    if acks:
        yield f"  acknowledgements: {write_delays(acks)}"
    memory = way.read_memory()
    for name, used in after.items():
        yield f"  {name}: {(used - before[name]) / lasted * 100:.1f} % of a core, at most {memory[name]:.0f} MB"


def list_delays(earlier: Sequence[float], later: Sequence[float]) -> list[float]:
    """List the seconds from one time of each trade to another."""
    return [max(0.0, there - here) for here, there in zip(earlier, later, strict=True)]


def write_delays(delays: Sequence[float]) -> str:
    """Write the median and the 99th percentile."""
    return f"p50 {median(delays) * 1000:.1f} ms, p99 {quantiles(delays, n=100)[98] * 1000:.1f} ms"


def list_lines(folder: Path, given: argparse.Namespace) -> Iterator[str]:
    """Yield what is measured, line by line."""
    for size in APPEND_SIZES:
        rounds = [measure_append(folder, given.append, size) for _ in range(ROUNDS)]
        clock, cpu = (median(each) for each in zip(*rounds, strict=True))
        yield f"hub append, {size:,} in a commit: {clock:,.0f} trades/s, {cpu:,.0f} for each second of CPU"
    filled = folder / "filled.db"
    fill(filled, given.backlog, 20)
    for name in WAYS if given.transport == "both" else [given.transport]:
        nodes = f", nodes: {given.nodes}" if name == "nats" else ""
        yield f"over {name}{nodes}; load {os.getloadavg()[0]:.0f}"
        with contextlib.ExitStack() as opened:
            yield from measure_delay(WAYS[name](folder / f"{name}-delay", opened), given.rate, given.seconds)
        with contextlib.ExitStack() as opened:
            yield from measure_backlog(WAYS[name](folder / f"{name}-backlog", opened, filled), given.backlog)


def main() -> None:
    """Measure and print. Raises AssertionError when a trade is missing, comes twice or out of order."""
    parser = argparse.ArgumentParser(prog="python -m bench.relay")
    parser.add_argument("--transport", choices=(*WAYS, "both"), default="both")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=3, help="of NATS, each with a copy of the stream")
    parser.add_argument("--append", type=int, default=200_000, help="trades")
    parser.add_argument("--backlog", type=int, default=1_000_000, help="trades")
    parser.add_argument("--rate", type=float, default=1_000, help="trades per second")
    parser.add_argument("--seconds", type=float, default=30)
    given = parser.parse_args()
    NatsWay.nodes = given.nodes
    # The package of the server puts it beside the interpreter.
    os.environ["PATH"] = f"{BIN}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        for line in list_lines(Path(folder), given):
            print(line, flush=True)


if __name__ == "__main__":
    main()

"""The ways to a hub: a host, a hub, and what carries trades from one to the other, over HTTP or over NATS."""

import array
import contextlib
import re
import shutil
import sqlite3
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import ClassVar, Final

import psutil

from bench.measure import check_equal
from bench.probes.push import SUFFIX
from common.errors import RelayError
from common.settings import Settings
from relay.setup import set_up
from tests.system.nats_server import Nats
from tests.system.relay import Relay, RelayProcess, find_journal
from tests.system.stack import Stack
from tests.waiting import wait_for

BATCH: Final = Settings().relay_batch


class Way(ABC):
    """A host with its web process, a hub, and ``steps``: the processes of the relay, in the order of a trade."""

    steps: ClassVar[Sequence[str]]

    def __init__(self, folder: Path, opened: contextlib.ExitStack, filled: Path | None = None) -> None:
        """Start the host, over a copy of a journal when one is given; ``start`` starts the rest."""
        self.folder = folder
        self.host, self.hub = (self._make_stack(name, opened) for name in ("host", "hub"))
        self.processes: dict[str, RelayProcess] = {}
        self._opened = opened
        if filled is not None:
            shutil.copy(filled, find_journal(self.host))
        self.host.start("web")

    def _make_stack(self, name: str, opened: contextlib.ExitStack) -> Stack:
        (self.folder / name).mkdir(parents=True)
        settings = {"WEB_CONCURRENCY": "1", "AUTH": "off", "WRITES_PER_SECOND": "0", "JOURNAL_SYNC": "full"}
        return opened.enter_context(Stack(self.folder / name, **settings))

    def connect(self) -> None:
        """Start the whole relay, and wait until trades can pass."""
        for step in self.steps:
            self.start(step)
        for process in self.processes.values():
            wait_for(process.is_ready, f"{process.log} is ready")

    def start(self, step: str) -> None:
        """Start a process of the relay."""
        self.processes[step] = self._make_process(step)
        self._opened.callback(self.processes[step].end)

    @abstractmethod
    def _make_process(self, step: str) -> RelayProcess: ...

    @abstractmethod
    def list_servers(self) -> Mapping[str, Sequence[int]]:
        """List the pids of what serves the relay, by name."""

    def count_passed(self, step: str) -> int:
        """Return how many trades a step has passed on, without asking its process, which is measured."""
        assert step == "pull"
        with contextlib.suppress(sqlite3.OperationalError), open_journal(find_journal(self.hub)) as db:
            return read_last_seq(db)
        return 0

    def list_acks(self) -> Sequence[float]:
        """List the seconds that each acknowledgement of a push took; none over HTTP."""
        return []

    def list_pids(self) -> dict[str, Sequence[int]]:
        """List the pids of the relay and of what serves it, by name."""
        return {name: [each.process.pid] for name, each in self.processes.items()} | dict(self.list_servers())

    def read_cpu(self) -> dict[str, float]:
        """Read the CPU time in seconds that each part has taken."""
        return {
            name: sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)
            for name, pids in self.list_pids().items()
        }

    def read_memory(self) -> dict[str, float]:
        """Read the most memory in MB that a process of each part has had."""
        return {name: max(map(read_peak, pids)) for name, pids in self.list_pids().items()}


class HttpWay(Way):
    """The hub asks the host."""

    steps = ("pull",)

    def _make_process(self, step: str) -> RelayProcess:
        assert step == "pull"
        return Relay(self.hub, [self.host])

    def list_servers(self) -> Mapping[str, Sequence[int]]:
        """List the host's worker, which also accepts trades."""
        return {"the host's worker": [each.pid for each in self.host.find("web").children()]}


class NatsWay(Way):
    """The host pushes to a stream with a copy on each node, and the hub reads it."""

    steps = ("push", "pull")
    nodes = 3

    def __init__(self, folder: Path, opened: contextlib.ExitStack, filled: Path | None = None) -> None:
        """Start the nodes too, and make the stream."""
        self.nats = opened.enter_context(Nats(folder / "nats", self.nodes))
        settings = self.nats.make_settings(folder / "none", RELAY_MAX_BYTES="4GiB")

        def is_made() -> bool:
            with contextlib.suppress(RelayError):
                return not set_up(settings)
            return False

        wait_for(is_made, "the nodes have a leader, and the stream is made", 120, 0.5)
        super().__init__(folder, opened, filled)

    def _make_process(self, step: str) -> RelayProcess:
        stack = self.host if step == "push" else self.hub
        make = Push if step == "push" else RelayProcess
        return make(step, stack.settings | self.nats.list_settings(), stack.folder / f"{step}.log")

    def list_servers(self) -> Mapping[str, Sequence[int]]:
        """List the nodes."""
        return {"nodes": [node.process.pid for node in self.nats.nodes if node.process is not None]}

    def count_passed(self, step: str) -> int:
        """Return how many trades a step has passed on; push fills each message of a backlog."""
        if step == "pull":
            return super().count_passed(step)
        # A message that was stored after its time-out is not acknowledged; the mark follows within a heartbeat.
        pushed = 0
        with contextlib.suppress(sqlite3.OperationalError), open_journal(find_journal(self.host)) as db:
            (pushed,) = db.execute("SELECT coalesce(max(seq), 0) FROM pushed").fetchone()
        return max(pushed, len(self.list_acks()) * BATCH)

    def list_acks(self) -> Sequence[float]:
        """List the seconds that each acknowledgement took, heartbeats included."""
        return read_acks(find_journal(self.host))


class Push(RelayProcess):
    """``python -m relay push``, which notes its acknowledgements."""

    @staticmethod
    def make_command(command: str) -> list[str]:
        """Return the command of the probe, which is that of the relay otherwise."""
        return [sys.executable, "-m", "bench.probes.push", command]


def read_acks(journal: Path) -> Sequence[float]:
    """Read the seconds of each acknowledgement that ``Push`` has noted."""
    acks = array.array("d")
    with contextlib.suppress(FileNotFoundError):
        acks.frombytes(Path(f"{journal}{SUFFIX}").read_bytes())
    return acks


@contextlib.contextmanager
def open_journal(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a journal to look at it, beside the processes that write it."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        yield db


def check_same(host: Path, hub: Path, trades: int) -> None:
    """Raise AssertionError unless the hub has so many trades, and they are those of the host, in its order."""
    count = 0
    with open_journal(host) as sent, open_journal(hub) as arrived:
        rows = (db.execute("SELECT id FROM trades ORDER BY seq") for db in (sent, arrived))
        for count, (here, there) in enumerate(zip_longest(*rows), 1):
            assert here == there, f"trade {count} of the hub is not that of the host"
    check_equal("trades at the hub", count, trades)


def read_last_seq(db: sqlite3.Connection) -> int:
    """Read the newest seq of a journal."""
    (seq,) = db.execute("SELECT coalesce(max(seq), 0) FROM trades").fetchone()
    return int(seq)


def read_peak(pid: int) -> float:
    """Return the most memory in MB that a process has had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")

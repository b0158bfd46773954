"""Hosts under load, hubs that show their trades, and faults one after the other.

In the end what each host accepted is in each hub, trade by trade and in its order, and counted there.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from common.journal.opening import back_up, restore
from common.journal.store import Journal
from tests.system.faults.faults import filled
from tests.system.faults.storm import mounted
from tests.system.hub_faults.load import Client, watch
from tests.system.relay import RelayProcess, find_journal, read_events
from tests.system.stack import Stack
from tests.waiting import wait_for

FREEZE_SECONDS = 2.0
LOCK_SECONDS = 3.0
FULL_SECONDS = 3.0
DISK_MB = 512
ARRIVE_SECONDS = 120

Fault = Callable[[], None]


class Storm:
    """Hosts and as many hubs, each hub with a sidecar; what carries the trades is added by ``connect``."""

    def __init__(self, folder: Path, opened: contextlib.ExitStack, count: int = 2) -> None:
        self.opened = opened
        self.folder = folder
        self.hosts = [self._make(f"host{n + 1}") for n in range(count)]
        self.hubs = [self._make(f"hub{n + 1}") for n in range(count)]
        self.journal_ids: list[set[str]] = [set() for _ in self.hosts]
        """Those that each host has had."""
        self.pulls: list[RelayProcess] = []
        for host in self.hosts:
            host.start("web")
        self._read_journal_ids()
        self.connect()
        for hub in self.hubs:
            hub.start("sidecar")

    def connect(self) -> None:
        """Start what fills the hubs, and keep the process of each in ``pulls``."""
        raise NotImplementedError

    def _make(self, name: str) -> Stack:
        folder = self.folder / name
        if name == "hub1" and self.can_fill:
            # A disk of its own, which can be filled.
            self.opened.enter_context(mounted(folder, DISK_MB))
        else:
            folder.mkdir()
        # A token locks a host in the mode "auto"; the clients have none.
        stack = Stack(folder, WEB_CONCURRENCY="1", AUTH="off", WRITES_PER_SECOND="0")
        return self.opened.enter_context(stack)

    @property
    def can_fill(self) -> bool:
        """Only root may mount a small disk."""
        return os.geteuid() == 0

    def _read_journal_ids(self) -> None:
        for host, known in zip(self.hosts, self.journal_ids, strict=True):
            with Journal(find_journal(host)) as journal:
                known.add(journal.journal_id)

    def list_faults(self) -> dict[str, Fault]:
        """List the faults of every transport by name."""
        faults: dict[str, Fault] = {
            "pull_killed": lambda: self.kill(self.pulls[0]),
            "pull_frozen": lambda: freeze(self.pulls[0].process.pid),
            "two_pulls_of_a_hub": self.start_second_pull,
            "host_web_killed": self.kill_web,
            "host_web_frozen": lambda: freeze(self.hosts[0].find("web").children()[0].pid),
            "host_restored_from_a_copy": self.restore_host,
            "hub_journal_locked": self.lock_hub,
            "hub_sidecar_killed": self.kill_sidecar,
            "hub_restored_from_a_copy": self.restore_hub,
        }
        if self.can_fill:
            faults["hub_disk_full"] = self.fill_hub
        return faults

    @staticmethod
    def kill(process: RelayProcess) -> None:
        process.end()
        process.start()

    def start_second_pull(self) -> None:
        """Start one more process for a hub that has one: it is refused."""
        assert self.pulls[0].run_another().returncode == 1

    def kill_web(self) -> None:
        host = self.hosts[0]
        for each in [host.find("web"), *host.workers()]:
            each.kill()
        with contextlib.suppress(Exception):
            host.stop("web")
        host.start("web")

    def kill_sidecar(self) -> None:
        self._stop_sidecar()
        self.hubs[0].start("sidecar")

    def _stop_sidecar(self) -> None:
        self.hubs[0].find("sidecar").kill()
        with contextlib.suppress(Exception):
            self.hubs[0].stop("sidecar")

    def lock_hub(self) -> None:
        with contextlib.closing(sqlite3.connect(find_journal(self.hubs[0]), isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            time.sleep(LOCK_SECONDS)

    def fill_hub(self) -> None:
        """Fill the disk of a hub's journal to its last byte, and make room again."""
        with filled(self.hubs[0].folder):
            time.sleep(FULL_SECONDS)

    def restore_host(self) -> None:
        """Put back a host's journal from a copy with all of its trades: another journal, with the same ids."""
        host, path = self.hosts[0], find_journal(self.hosts[0])
        host.stop("web", 60)
        self.put_copy_back(path, lambda: None)
        self._read_journal_ids()
        host.start("web")

    def restore_hub(self) -> None:
        """Put an old copy in the place of a hub's journal: what came since then is asked for again."""
        path = find_journal(self.hubs[0])

        def move_on() -> None:
            time.sleep(FREEZE_SECONDS)
            self.pulls[0].end()
            self._stop_sidecar()

        self.put_copy_back(path, move_on)
        self.pulls[0].start()
        self.hubs[0].start("sidecar")

    @staticmethod
    def put_copy_back(path: Path, meanwhile: Callable[[], None]) -> None:
        copy = path.with_name("copy.db")
        back_up(path, copy)
        meanwhile()
        for ending in ("", "-wal", "-shm"):
            path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)
        restore(copy, path)
        copy.unlink()

    def run(self, rate: float, seconds: float, names: Sequence[str] = ()) -> Iterator[str]:
        """Run every fault in turn under load for so long, each at least once, and yield the lines of the report.

        With ``names`` only those. Raises AssertionError when a trade is lost, twice or out of order.
        """
        clients = [Client(host, rate) for host in self.hosts]
        for client in clients:
            client.start()
        faults = {name: fault for name, fault in self.list_faults().items() if not names or name in names}
        began, stalls, times = time.monotonic(), dict.fromkeys(faults, 0.0), dict.fromkeys(faults, 0)
        while not all(times.values()) or time.monotonic() - began < seconds:
            for name, fault in faults.items():
                if all(times.values()) and time.monotonic() - began >= seconds:
                    break
                stalls[name] = max(stalls[name], self._measure(name, fault))
                times[name] += 1
        lasted = time.monotonic() - began
        for client in clients:
            client.stopping.set()
            client.join(120)
        yield from (f"{name:28}{times[name]:3} times, longest stall {stalls[name]:5.1f} s" for name in faults)
        if not self.can_fill:
            yield "hub_disk_full                not run: it needs root, for a small disk"
        yield f"{sum(times.values())} faults in {lasted:.0f} s"
        yield from self._compare(clients)

    def _measure(self, name: str, fault: Fault) -> float:
        """Run a fault and wait until trades arrive again; return the longest time in seconds in which none did."""
        with watch(self.hubs[0]) as seen:
            fault()
            after = seen.last_seq
            wait_for(lambda: seen.last_seq > after, f"trades arrive again after {name}", ARRIVE_SECONDS)
        return seen.longest

    def _compare(self, clients: list[Client]) -> Iterator[str]:
        for client in clients:
            ids = [event.id for event in read_events(client.host)]
            assert sorted(ids) == sorted(client.accepted), "a host has other trades than it accepted"
        total = sum(len(client.accepted) for client in clients)
        found = []
        for hub in self.hubs:
            wait_for(lambda hub=hub: len(read_events(hub)) >= total, "all have arrived", ARRIVE_SECONDS, 1)  # type: ignore[misc]
            events = read_events(hub)
            for host, known in zip(self.hosts, self.journal_ids, strict=True):
                there = [event.id for event in events if event.host_journal_id in known]
                assert there == [event.id for event in read_events(host)], "a hub has other trades, or another order"
            hub.wait_counted(total, ARRIVE_SECONDS)
            found.append(len(events))
        held = ", ".join(f"in hub {number} {count}" for number, count in enumerate(found, 1))
        yield f"accepted {total}, {held}; lost 0, twice 0, out of order 0"
        yield f"counted {', '.join(str(int(hub.total('trading_trades_total'))) for hub in self.hubs)}"


def freeze(pid: int) -> None:
    """Stop a process for a while, as a machine that hangs does."""
    process = psutil.Process(pid)
    process.suspend()
    time.sleep(FREEZE_SECONDS)
    process.resume()

"""Hosts under load, hubs that pull them, and faults one after the other: ``python -m tests.system.relay_storm``.

In the end what each host accepted is in each hub, trade by trade and in its order, and counted there.
"""

import argparse
import contextlib
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import requests
from uuid_utils import uuid7

from common.journal.opening import back_up, restore
from common.journal.store import Journal
from tests.system.relay import Relay, find_journal, read_ids
from tests.system.stack import TRADE, Stack
from tests.waiting import wait_for

BATCH = 50
FREEZE_SECONDS = 2.0
LOCK_SECONDS = 3.0


class Client(threading.Thread):
    """Sends batches at a rate, each again until it is accepted, and keeps the ids of what was."""

    def __init__(self, host: Stack, rate: float) -> None:
        super().__init__(daemon=True)
        self.host = host
        self.rate = rate
        self.accepted: list[str] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        session = requests.Session()
        while not self.stopping.is_set():
            began = time.monotonic()
            key = str(uuid7())
            while not self._send(session, key):
                time.sleep(0.1)
            self.stopping.wait(max(0.0, began + BATCH / self.rate - time.monotonic()))

    def _send(self, session: requests.Session, key: str) -> bool:
        headers = {"Idempotency-Key": key, "Prefer": "return=representation"}
        with contextlib.suppress(requests.RequestException):
            answer = session.post(f"{self.host.web_url}/trades", json=[TRADE] * BATCH, headers=headers, timeout=20)
            if answer.status_code == 201:
                self.accepted += [trade["id"] for trade in answer.json()["trades"]]
                return True
        return False


class Storm:
    """Two hosts and two hubs, each hub with a sidecar and a relay."""

    def __init__(self, folder: Path, opened: contextlib.ExitStack) -> None:
        self.hosts = [self._make(folder, f"host{n}", opened) for n in (1, 2)]
        self.hubs = [self._make(folder, f"hub{n}", opened) for n in (1, 2)]
        for host in self.hosts:
            host.start("web")
        self.relays = [Relay(hub, self.hosts) for hub in self.hubs]
        for relay, hub in zip(self.relays, self.hubs, strict=True):
            opened.callback(relay.end)
            wait_for(relay.is_ready, "the relay is ready")
            hub.start("sidecar")
        self.faults: dict[str, Callable[[], None]] = {
            "relay_killed": self.kill_relay,
            "relay_frozen": lambda: self.freeze(self.relays[0].process.pid),
            "host_web_killed": self.kill_web,
            "host_web_frozen": lambda: self.freeze(self.hosts[0].find("web").children()[0].pid),
            "hub_journal_locked": self.lock_hub,
            "hub_sidecar_killed": self.kill_sidecar,
            "hub_restored_from_a_copy": self.restore_hub,
        }

    @staticmethod
    def _make(folder: Path, name: str, opened: contextlib.ExitStack) -> Stack:
        (folder / name).mkdir()
        # A token locks a host in the mode "auto"; the clients have none.
        return opened.enter_context(Stack(folder / name, WEB_CONCURRENCY="1", AUTH="off", WRITES_PER_SECOND="0"))

    def kill_relay(self) -> None:
        self.relays[0].end()
        self.relays[0].start()

    @staticmethod
    def freeze(pid: int) -> None:
        process = psutil.Process(pid)
        process.suspend()
        time.sleep(FREEZE_SECONDS)
        process.resume()

    def kill_web(self) -> None:
        host = self.hosts[0]
        for each in [host.find("web"), *host.workers()]:
            each.kill()
        with contextlib.suppress(Exception):
            host.stop("web")
        host.start("web")

    def kill_sidecar(self) -> None:
        hub = self.hubs[0]
        hub.find("sidecar").kill()
        with contextlib.suppress(Exception):
            hub.stop("sidecar")
        hub.start("sidecar")

    def lock_hub(self) -> None:
        with contextlib.closing(sqlite3.connect(find_journal(self.hubs[0]), isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            time.sleep(LOCK_SECONDS)

    def restore_hub(self) -> None:
        """Put an old copy in the place of a hub's journal: what came since then is asked for again."""
        hub, relay, path = self.hubs[0], self.relays[0], find_journal(self.hubs[0])
        back_up(path, path.with_name("copy.db"))
        time.sleep(FREEZE_SECONDS)
        relay.end()
        with contextlib.suppress(Exception):
            hub.stop("sidecar")
        for ending in ("", "-wal", "-shm"):
            path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)
        restore(path.with_name("copy.db"), path)
        path.with_name("copy.db").unlink()
        relay.start()
        hub.start("sidecar")

    def run(self, rate: float, seconds: float) -> Iterator[str]:
        """Run every fault in turn under load for so long, and yield the lines of the report. Raises AssertionError."""
        clients = [Client(host, rate) for host in self.hosts]
        for client in clients:
            client.start()
        deadline, stalls = time.monotonic() + seconds, dict.fromkeys(self.faults, 0.0)
        while time.monotonic() < deadline:
            for name, fault in self.faults.items():
                with watch_stalls(self.hubs[0]) as stall:
                    fault()
                    time.sleep(FREEZE_SECONDS)
                stalls[name] = max(stalls[name], stall["longest"])
        for client in clients:
            client.stopping.set()
            client.join(120)
        yield from (f"{name:26} longest stall {longest:5.1f} s" for name, longest in stalls.items())
        for client in clients:
            assert sorted(read_ids(client.host)) == sorted(client.accepted), "a host has other trades than it accepted"
        total = sum(len(client.accepted) for client in clients)
        for hub in self.hubs:
            wait_for(lambda hub=hub: len(read_ids(hub)) >= total, "all have arrived", 120)  # type: ignore[misc]
            for host in self.hosts:
                with Journal(find_journal(host)) as journal:
                    journal_id = journal.journal_id
                assert read_ids(hub, journal_id) == read_ids(host), "a hub has other trades, or in another order"
            hub.wait_counted(total, 120)
        yield f"accepted {total}, in hub 1 {len(read_ids(self.hubs[0]))}, in hub 2 {len(read_ids(self.hubs[1]))}"
        yield f"counted {', '.join(str(int(hub.total('trading_trades_total'))) for hub in self.hubs)}"


@contextlib.contextmanager
def watch_stalls(hub: Stack) -> Iterator[dict[str, Any]]:
    """Measure the longest time in which nothing arrived at a hub."""
    found, stopping = {"longest": 0.0}, threading.Event()

    def watch() -> None:
        last, since = -1, time.monotonic()
        while not stopping.wait(0.05):
            try:
                with contextlib.closing(sqlite3.connect(f"file:{find_journal(hub)}?mode=ro", uri=True)) as db:
                    seq = db.execute("SELECT max(seq) FROM trades").fetchone()[0]
            except sqlite3.Error:
                continue
            if seq != last:
                last, since = seq, time.monotonic()
            found["longest"] = max(found["longest"], time.monotonic() - since)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        stopping.set()
        thread.join()


def main() -> None:
    """Print the report; an AssertionError says what does not agree."""
    parser = argparse.ArgumentParser(prog="make faults-hub")
    parser.add_argument("--rate", type=float, default=500, help="trades per second of each host")
    parser.add_argument("--seconds", type=float, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as opened:
        for line in Storm(Path(folder), opened).run(given.rate, given.seconds):
            sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()

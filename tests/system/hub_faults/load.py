"""Load on hosts, and what arrives at a hub meanwhile."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import requests
from uuid_utils import uuid7

from tests.system.relay import find_journal
from tests.system.stack import TRADE, Stack

BATCH = 50


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


@dataclass
class Watch:
    """What was seen of a hub: its newest seq, and the longest time in seconds in which nothing arrived."""

    last_seq: int = 0
    longest: float = 0.0


@contextlib.contextmanager
def watch(hub: Stack) -> Iterator[Watch]:
    """Look at a hub's journal during the block, which a fault may put away."""
    found, stopping = Watch(), threading.Event()

    def look() -> None:
        since = time.monotonic()
        while not stopping.wait(0.05):
            with contextlib.suppress(sqlite3.Error):
                seq = _read_last_seq(hub)
                if seq != found.last_seq:
                    found.last_seq, since = seq, time.monotonic()
            found.longest = max(found.longest, time.monotonic() - since)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        stopping.set()
        thread.join()


def _read_last_seq(hub: Stack) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{find_journal(hub)}?mode=ro", uri=True)) as db:
        found: int = db.execute("SELECT coalesce(max(seq), 0) FROM trades").fetchone()[0]
    return found

"""Counts a journal from its start, in one process: ``replay.py JOURNAL`` prints its rows and the seconds as JSON."""

import json
import sys
import threading
import time
from pathlib import Path

from common.journal.store import Journal
from common.settings import Settings
from common.wire.transport import KeyPair
from sidecar.consumer import Consumer
from sidecar.counters import Counters
from sidecar.state import State


class Silence:
    """A receiver of nothing."""

    def use(self, keys: KeyPair) -> None:
        """Ignore the key pair."""

    def receive(self, timeout: float) -> list[bytes] | None:
        """Return no message."""


def replay(path: Path) -> dict[str, float]:
    """Count every trade, and return how many, and the seconds by the clock and of processor time."""
    with Journal(path) as journal:
        counters = Counters(State(journal.journal_id))
    consumer = Consumer(counters, Silence(), Journal(path), Settings(symbol_limit=200))
    began, spent = time.perf_counter(), time.process_time()
    consumer.catch_up(threading.Event())
    return {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - spent,
        "counted": counters.state.count_trades(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(replay(Path(sys.argv[1]))))

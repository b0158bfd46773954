"""Counts a journal from its start, in one process: ``replay.py JOURNAL`` prints its rows and the seconds as JSON.

With ``replay.py JOURNAL SCRAPES SYMBOLS`` it then makes the exposition so many times.
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Final

from common.journal.disk import DiskUsage
from common.journal.store import Journal
from common.settings import Settings
from common.wire.transport import KeyPair
from sidecar.collector import Sight, make_registry
from sidecar.consumer import Consumer
from sidecar.counters import Counters
from sidecar.routes import Registries
from sidecar.series_start import SeriesStarts
from sidecar.snapshot import Snapshots
from sidecar.state import State

ACCEPT: Final = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


class Silence:
    """A receiver of nothing."""

    def use(self, keys: KeyPair) -> None:
        """Ignore the key pair."""

    def receive(self, timeout: float) -> list[bytes] | None:
        """Return no message."""


def replay(path: Path, scrapes: int, symbols: int) -> dict[str, float]:
    """Count every trade, and return how many, the seconds by the clock and of processor time, and ms of a scrape."""
    with Journal(path) as journal:
        counters = Counters(State(journal.journal_id))
    consumer = Consumer(counters, Silence(), Journal(path), Settings(symbol_limit=symbols))
    began, spent = time.perf_counter(), time.process_time()
    consumer.catch_up(threading.Event())
    found = {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - spent,
        "counted": counters.state.count_trades(),
    }
    if scrapes:
        found["scrape, ms"] = expose(counters, scrapes) / scrapes * 1e3
    return found


def expose(counters: Counters, scrapes: int) -> float:
    """Make the exposition so many times, and return the seconds of processor time."""
    sight = Sight(counters, Snapshots(Path()), lambda: (1, DiskUsage(1, 1, 1)), list)
    registry = make_registry(sight, SeriesStarts())
    registries = Registries(registry, registry)
    spent = time.process_time()
    for _ in range(scrapes):
        registries.scrape(ACCEPT, ())
    return time.process_time() - spent


if __name__ == "__main__":
    journal, number, limit, *_ = (*sys.argv[1:], "0", "200")
    sys.stdout.write(json.dumps(replay(Path(journal), int(number), int(limit))))

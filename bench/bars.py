"""A day's window of the chart at 200,000 and a million trades, and POSTs meanwhile: ``python -m bench.bars``."""

import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path
from statistics import median, quantiles

import requests

from common.event import Event, Side
from common.journal.store import Journal
from common.timestamps import format_timestamp, now
from tests.conftest import append
from tests.system.stack import Stack

SIZES = (200_000, 1_000_000)
COMMIT = 5000
DAY = 86_400
ROUNDS = 12
IDLE_SECONDS = 10
PARAMETERS = {
    "bars of a symbol that has half of the trades": "/market/bars?symbol=LARGE&window=86400&step=60",
    "the same by the trades' own times": "/market/bars?symbol=LARGE&window=86400&step=60&time=ts",
    "bars of a symbol that has a hundredth": "/market/bars?symbol=SMALL7&window=86400&step=60",
    "the summary": "/market?window=86400&step=300",
}


def fill(path: Path, trades: int) -> None:
    """Append trades, accepted one after the other during the last day."""
    begin, each = now() - timedelta(days=1), timedelta(days=1) / trades
    with Journal(path, "normal") as journal:
        for first in range(0, trades, COMMIT):
            events = []
            for n in range(first, min(first + COMMIT, trades)):
                at = format_timestamp(begin + n * each)
                symbol = "LARGE" if n % 2 else f"SMALL{n // 2 % 50}"
                side: Side = "BUY" if n % 3 else "SELL"
                events.append(
                    Event(at, symbol, side, f"{100 + n % 97}.25", "0.5", seq=0, id="", journal_id="", accepted_at=at)
                )
            append(journal, events)


class Posts:
    """Posts one trade after the other from now on, and notes how long each took."""

    def __init__(self, stack: Stack) -> None:
        self.seconds: list[float] = []
        self._stack = stack
        self._ended = False
        self._thread = threading.Thread(target=self._post)
        self._thread.start()

    def _post(self) -> None:
        while not self._ended:
            began = time.perf_counter()
            self._stack.post()
            self.seconds.append(time.perf_counter() - began)
            time.sleep(0.005)

    def stop(self) -> str:
        """Stop, and say what was measured."""
        self._ended = True
        self._thread.join()
        p99 = quantiles(self.seconds, n=100)[98]
        return f"{len(self.seconds)} POSTs: median {median(self.seconds) * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms"


def measure(stack: Stack, path: str) -> tuple[list[float], str]:
    """Request ROUNDS times with POSTs meanwhile; each worker reads the blocks once."""
    posts, took = Posts(stack), []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        # A connection of its own, so that both workers answer.
        complete = requests.get(stack.web_url + path, timeout=60).json()["complete"]
        took.append((time.perf_counter() - began) * (1000 if complete else -1000))
        # Longer than a summary is shared.
        time.sleep(0.5 if "bars" in path else 5.1)
    return took, posts.stop()


def main() -> None:
    """Measure and print."""
    for trades in SIZES:
        with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), LOG_LEVEL="WARNING") as stack:
            fill(Path(stack.settings["JOURNAL_PATH"]), trades)
            stack.start()
            posts = Posts(stack)
            time.sleep(IDLE_SECONDS)
            sys.stdout.write(f"{trades} trades in a day, nothing else: {posts.stop()}\n")
            for what, path in PARAMETERS.items():
                took, meanwhile = measure(stack, path)
                shown = " ".join(f"{ms:.0f}" if ms > 0 else f"({-ms:.0f}, not complete)" for ms in took)
                sys.stdout.write(f"  {what}: {shown} ms; {meanwhile}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()

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
TURNS = 3
TURN_SECONDS = 6
PAUSE_SECONDS = 0.25
PATHS = {
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

    def stop(self) -> list[float]:
        """Stop, and return how long each took, in seconds."""
        self._ended = True
        self._thread.join()
        return self.seconds


def read_until_complete(stack: Stack, path: str) -> list[float]:
    """Request until every worker has read all blocks, and return the milliseconds of each answer."""
    took: list[float] = []
    complete = 0
    while complete < 2 * int(stack.settings["WEB_CONCURRENCY"]):
        began = time.perf_counter()
        # A connection of its own, so that each worker answers some.
        answer = requests.get(stack.web_url + path, timeout=60).json()
        took.append((time.perf_counter() - began) * 1000)
        complete = complete + 1 if answer["complete"] else 0
        # Longer than a summary is shared.
        time.sleep(PAUSE_SECONDS if "bars" in path else 5.1)
    return took


def measure(stack: Stack, path: str) -> tuple[list[float], list[float], list[float]]:
    """Post in turns alone and with one client that requests the path again and again."""
    alone: list[float] = []
    beside: list[float] = []
    took: list[float] = []
    for _ in range(TURNS):
        posts = Posts(stack)
        time.sleep(TURN_SECONDS)
        alone += posts.stop()
        posts, until = Posts(stack), time.monotonic() + TURN_SECONDS
        while time.monotonic() < until:
            began = time.perf_counter()
            requests.get(stack.web_url + path, timeout=60).raise_for_status()
            took.append((time.perf_counter() - began) * 1000)
            time.sleep(PAUSE_SECONDS)
        beside += posts.stop()
    return alone, beside, took


def describe(seconds: list[float]) -> str:
    """Return the median and the 99th percentile."""
    return f"median {median(seconds) * 1000:.0f} ms, p99 {quantiles(seconds, n=100)[98] * 1000:.0f} ms"


def main() -> None:
    """Measure and print."""
    for trades in SIZES:
        with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), LOG_LEVEL="WARNING") as stack:
            fill(Path(stack.settings["JOURNAL_PATH"]), trades)
            stack.start()
            for what, path in PATHS.items():
                first = " ".join(f"{ms:.0f}" for ms in read_until_complete(stack, path))
                alone, beside, took = measure(stack, path)
                sys.stdout.write(
                    f"{trades} trades in a day, {what}: first answers {first} ms, later ones median "
                    f"{median(took):.0f} ms; POST alone {describe(alone)}, beside it {describe(beside)}\n"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    main()

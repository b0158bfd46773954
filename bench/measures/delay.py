"""From acceptance to counting, at 1,000 trades a second in requests of one: the sidecar's own histogram.

A percentile is read from the histogram's buckets as Prometheus does: linearly within a bucket. Both goals are bounds
of buckets, so the part of the trades within them is exact.
"""

import contextlib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final

from bench.measure import Measure, Opening, Round, Run, check_equal
from bench.processes import count_rows, run_load, run_stack, wait_counted
from tests.system.stack import Stack

RATE: Final = 1_000
TRADES: Final = 8_000
TRADES_QUICK: Final = 2_000
BUCKET: Final = "trading_event_delay_seconds_bucket"


def read_buckets(stack: Stack) -> dict[float, float]:
    """Read the histogram: how many trades were counted within each bound, in ms."""
    return {
        float(dict(labels)["le"]) * 1000: value for (name, labels), value in stack.samples().items() if name == BUCKET
    }


def find_percentile(buckets: Mapping[float, float], part: float) -> float:
    """Find a percentile of a histogram; of the last bucket, which has no end, its beginning."""
    ordered = sorted(buckets.items())
    wanted = ordered[-1][1] * part
    for (low, below), (high, within) in pairwise([(0.0, 0.0), *ordered]):
        if within >= wanted:
            return low if high == float("inf") else low + (high - low) * (wanted - below) / (within - below)
    return 0.0


@contextlib.contextmanager
def open_stack(run: Run, name: str, root: Path) -> Iterator[Round]:
    """Run a stack; a round posts at the rate."""
    trades, sent = run.choose(TRADES, TRADES_QUICK), 0
    folder = run.make_folder(name)
    with run_stack(folder, root) as stack:

        def measure() -> dict[str, float]:
            nonlocal sent
            before = read_buckets(stack)
            result = run_load(int(stack.settings["WEBAPP_HTTP_PORT"]), trades, "--rate", str(RATE))
            sent += trades
            wait_counted(stack, sent)
            check_equal("rows of the journal", count_rows(folder / "journal.db"), sent)
            found = {bound: count - before.get(bound, 0) for bound, count in read_buckets(stack).items()}
            return {
                "median, ms": find_percentile(found, 0.5),
                "p99, ms": find_percentile(found, 0.99),
                "trades/s": result["rate"],
                "p99 of the answer, ms": result["p99_ms"],
            }

        yield measure


def list_subjects(run: Run) -> Mapping[str, Opening]:
    """List the programs."""
    return run.open_programs(open_stack)


DELAY = Measure("delay", list_subjects)

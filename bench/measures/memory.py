"""Memory of a worker and of the sidecar at 1,000 symbols, its growth over many trades, and the journal's bytes."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from bench.measure import Measure, Opening, Round, Run, check_equal
from bench.measures.batch import SIZE, make_trades, send_all
from bench.processes import count_rows, measure_journal, read_mb, run_load, run_stack, wait_counted
from tests.system.stack import Stack

SYMBOLS: Final = 1_000
TRADES: Final = 1_000_000
TRADES_QUICK: Final = 50_000
TRADES_FULL: Final = 10_000_000
SINGLES: Final = 1_000
PART: Final = 0.2
"""Of the trades, after which growth begins to be measured."""


def read_memory(stack: Stack) -> dict[str, float]:
    """Read the resident memory of the larger worker and of the sidecar, in MB."""
    return {"worker": max(map(read_mb, stack.workers())), "sidecar": read_mb(stack.find("sidecar"))}


@contextlib.contextmanager
def open_stack(run: Run, name: str, root: Path) -> Iterator[Round]:
    """Run a stack; the only round sends trades of all symbols, most in batches, and reads memory on the way."""
    batches = (TRADES_FULL if run.full else run.choose(TRADES, TRADES_QUICK)) // SIZE
    bodies = [json.dumps(make_trades(SYMBOLS, first)).encode() for first in range(0, 20 * SIZE, SIZE)]
    folder = run.make_folder(name)
    settings = {"SYMBOL_LIMIT": str(SYMBOLS + 1)} | {
        # What a process compiles when it starts leaves 2 MB in it; an installed program is compiled.
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    with run_stack(folder, root, **settings):
        pass
    with run_stack(folder, root, **settings) as stack:

        def send(first: int, last: int) -> None:
            send_all(stack, [bodies[n % len(bodies)] for n in range(first, last)], {"Content-Type": "application/json"})
            wait_counted(stack, last * SIZE + SINGLES)

        def measure() -> dict[str, float]:
            started = read_memory(stack)
            run_load(int(stack.settings["WEBAPP_HTTP_PORT"]), SINGLES)
            early = int(batches * PART)
            send(0, early)
            before = read_memory(stack)
            send(early, batches)
            after = read_memory(stack)
            stack.stop(seconds=60)
            trades = batches * SIZE + SINGLES
            check_equal("rows of the journal", count_rows(folder / "journal.db"), trades)
            size = measure_journal(folder / "journal.db")
            found = {"trades": float(trades), "journal, bytes a trade": size / trades}
            for part, megabytes in after.items():
                found[f"{part} at the start, MB"] = started[part]
                found[f"{part}, MB"] = megabytes
                found[f"{part} growth, %"] = (megabytes - before[part]) / before[part] * 100
            return found

        yield measure


def list_subjects(run: Run) -> Mapping[str, Opening]:
    """List the programs."""
    return run.open_programs(open_stack)


MEMORY = Measure("memory", list_subjects, once=True)

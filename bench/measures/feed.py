"""The live feed with 1,000 viewers at 300 trades a second: delivery, what was missed, and what posting costs.

The subject without viewers is the same program with the same posts, for the delay of ``POST /trade``.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.measure import OURS, Measure, Opening, Round, Run, check_equal
from bench.posting import Load, p99_ms
from bench.processes import count_rows, read_cpu, run_stack, stop, wait_counted
from tests.conftest import ROOT

VIEWERS: Final = 1_000
VIEWERS_QUICK: Final = 100
RATE: Final = 300
SENDERS: Final = 6
SECONDS: Final = 8
SECONDS_QUICK: Final = 4
WITHOUT: Final = "without viewers"


class Viewers:
    """A process with many viewers; see ``bench/viewers.py``."""

    def __init__(self, port: int, count: int) -> None:
        """Start it."""
        command = [sys.executable, "-m", "bench.viewers", str(port), str(count)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, command: str, last: int) -> dict[str, Any]:
        """Send a command, and return its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command} {last}\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@contextlib.contextmanager
def open_stack(run: Run, name: str, root: Path, count: int) -> Iterator[Round]:
    """Run a stack with viewers, which stay; a round posts for some seconds."""
    seconds, folder = run.choose(SECONDS, SECONDS_QUICK), run.make_folder(name)
    with run_stack(folder, root, FEED_MAX_CLIENTS=str(VIEWERS)) as stack, contextlib.ExitStack() as opened:
        port, journal = int(stack.settings["WEBAPP_HTTP_PORT"]), folder / "journal.db"
        stack.accept(10)
        viewers = Viewers(port, count) if count else None
        if viewers:
            opened.callback(stop, viewers.process)

        def measure() -> dict[str, float]:
            if viewers:
                viewers.ask("begin", count_rows(journal))
            web = stack.find("web")
            before, began, rows = read_cpu(web), time.perf_counter(), count_rows(journal)
            with contextlib.ExitStack() as loads:
                posting = [loads.enter_context(Load(port, RATE / SENDERS)) for _ in range(SENDERS)]
                time.sleep(seconds)
            posted, last = time.perf_counter() - began, count_rows(journal)
            delays = [delay for load in posting for delay in load.delays]
            check_equal("rows of the journal", last - rows, len(delays))
            found = {"p99 of `POST /trade`, ms": p99_ms(delays), "trades/s": len(delays) / posted}
            if viewers:
                seen = viewers.ask("end", last)
                check_equal("feeds that ended", seen["ended"], 0)
                found |= {
                    "delivery p95, ms": seen["p95_ms"],
                    "delivery median, ms": seen["median_ms"],
                    "missed": seen["missed"] + seen["disordered"],
                    "twice": seen["twice"],
                }
            found["web CPU a trade, µs"] = (read_cpu(web) - before) / len(delays) * 1e6
            wait_counted(stack, last)
            return found

        yield measure


def list_subjects(run: Run) -> Mapping[str, Opening]:
    """List the programs with viewers, and ours without them."""
    count = run.choose(VIEWERS, VIEWERS_QUICK)
    return run.open_programs(open_stack, count) | {WITHOUT: partial(open_stack, run, WITHOUT, run.programs[OURS], 0)}


FEED = Measure("feed", list_subjects)

"""``python -m bench``: run the measurements, print the table of goals, and with ``--output docs`` write the page."""

import argparse
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil

from bench.measures import MEASURES
from bench.profiles import write_profile
from bench.programs import check_out, describe_commit
from bench.report import About, list_rows, write_figures, write_page, write_text
from bench.runner import run

ROUNDS: Final = 5


def read_arguments() -> argparse.Namespace:
    """Read the arguments."""
    names = [measure.name for measure in MEASURES]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--rounds", type=int, help=f"rounds of each measurement ({ROUNDS}; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="small rounds without a warm-up: to try, not to quote")
    parser.add_argument("--full", action="store_true", help="growth over 10 million trades")
    parser.add_argument("--before", metavar="COMMIT", help="measure the program of that commit too, in turns")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write page and plots there")
    return parser.parse_args()


def main() -> int:
    """Run, print, write; return 1 when something failed."""
    given = read_arguments()
    measures = [measure for measure in MEASURES if not given.only or measure.name in given.only]
    rounds = given.rounds or (1 if given.quick else ROUNDS)
    load, began = os.getloadavg()[0], time.monotonic()
    commit = describe_commit("HEAD")
    with check_out(given.before) as programs:
        results = run(measures, programs, rounds, quick=given.quick, full=given.full)
    about = About(
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        commit=commit,
        before=given.before and describe_commit(given.before),
        machine=f"{psutil.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}",
        load=f"{load:.1f} at the start and {os.getloadavg()[0]:.1f} at the end",
        rounds=rounds,
        minutes=(time.monotonic() - began) / 60,
        quick=given.quick,
        full=given.full,
    )
    sys.stdout.write(f"{write_text(list_rows(results))}\n{write_figures(results)}")
    if given.output:
        by_name = {measure.name: measure for measure in measures}
        write_page(results, about, given.output, lambda name: write_profile(by_name[name]))
    return 1 if results.has_failed() else 0


if __name__ == "__main__":
    sys.exit(main())

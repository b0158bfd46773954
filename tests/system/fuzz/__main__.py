"""A long fuzz run: ``python -m tests.system.fuzz --count 100000 --seed 1``; ``--first N --count 1`` repeats one."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.system.fuzz.fuzz import run_fuzz

parser = argparse.ArgumentParser(prog="python -m tests.system.fuzz", description=__doc__)
parser.add_argument("--count", type=int, default=100_000)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--first", type=int, default=0, help="the number of the first input")
parser.add_argument("--folder", type=Path, help="keep the stack's files and log here; default: a temporary folder")
arguments = parser.parse_args()
with tempfile.TemporaryDirectory() as temporary:
    folder = arguments.folder or Path(temporary)
    folder.mkdir(parents=True, exist_ok=True)
    report = run_fuzz(folder, range(arguments.first, arguments.first + arguments.count), arguments.seed)
sys.stdout.write(report.write() + "\n")
sys.exit(1 if report.failed else 0)

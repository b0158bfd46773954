"""A long storm, each fault six times by default: ``python -m tests.system.faults --rate 330 --seed 1``."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.system.faults.faults import FAULTS
from tests.system.faults.storm import run_storm

parser = argparse.ArgumentParser(prog="make faults")
parser.add_argument("--faults", type=int, default=6 * len(FAULTS))
parser.add_argument("--rate", type=float, default=330, help="trades per second")
parser.add_argument("--seed", type=int, default=1)
arguments = parser.parse_args()
with tempfile.TemporaryDirectory() as folder:
    report = run_storm(Path(folder), faults=arguments.faults, rate=arguments.rate, seed=arguments.seed)
sys.stdout.write(report.write() + "\n")
inconsistent = report.differences or report.decreased or report.disappeared or report.resets
lost = report.accepted != report.counted or report.accepted != report.recounted
sys.exit(1 if inconsistent or lost else 0)

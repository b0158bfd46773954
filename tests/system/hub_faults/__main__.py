"""Faults under load against two hosts and two hubs: ``python -m tests.system.hub_faults --rate 500 --seconds 200``."""

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path

from tests.system.hub_faults.over_http import HttpStorm
from tests.system.hub_faults.over_nats import NatsStorm

STORMS = {"http": HttpStorm, "nats": NatsStorm}


def main() -> None:
    """Print the report; an AssertionError says what does not agree."""
    parser = argparse.ArgumentParser(prog="make faults-hub")
    parser.add_argument("--rate", type=float, default=500, help="trades per second of each host")
    parser.add_argument("--seconds", type=float, default=200, help="each fault is run once however long it takes")
    parser.add_argument("--transport", choices=STORMS, default="http")
    parser.add_argument("--fault", action="append", default=[], help="only this one; may be given several times")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as opened:
        for line in STORMS[given.transport](Path(folder), opened).run(given.rate, given.seconds, given.fault):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

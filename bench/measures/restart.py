"""A sidecar over a journal of 5 million trades: ready by its snapshot, and how fast all of it is counted again."""

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import requests

from bench.measure import OURS, Measure, Opening, Round, Run, check_equal
from bench.processes import run_probe, stop
from tests.system.stack import free_ports

TRADES: Final = 5_000_000
TRADES_QUICK: Final = 100_000
SYMBOLS: Final = 20
START_SECONDS: Final = 300
EMPTY: Final = "an empty journal"


def start(folder: Path, root: Path, trades: int) -> tuple[float, float]:
    """Start the sidecar, wait until it is ready, check what it counted, stop it; return seconds and peak MB."""
    http, hints = free_ports(2)
    settings = {
        "SIDECAR_HTTP_PORT": str(http),
        "WEBAPP_ZMQ_ADDR": f"tcp://127.0.0.1:{hints}",
        "JOURNAL_PATH": str(folder / "journal.db"),
        "SNAPSHOT_PATH": str(folder / "snapshot"),
        "LOG_LEVEL": "WARNING",
    }
    began = time.perf_counter()
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "sidecar"], cwd=root, env=os.environ | settings, stderr=log)
    try:
        with requests.Session() as session:
            while (last := find_last_seq(session, http)) is None:
                if process.poll() is not None or time.perf_counter() - began > START_SECONDS:
                    raise RuntimeError((folder / "log").read_text()[-2000:])
                time.sleep(0.005)
        seconds = time.perf_counter() - began
        check_equal("counted when ready", last, trades)
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    finally:
        stop(process)
    return seconds, int(found[1]) / 1000 if found else 0.0


def find_last_seq(session: requests.Session, port: int) -> int | None:
    """Return the newest seq that a sidecar which is ready has counted."""
    with contextlib.suppress(requests.ConnectionError):
        answer = session.get(f"http://127.0.0.1:{port}/readyz", timeout=5)
        return int(answer.json()["last_seq"]) if answer.ok else None
    return None


@contextlib.contextmanager
def open_program(run: Run, name: str, root: Path, trades: int) -> Iterator[Round]:
    """Make a journal and its snapshot; a round starts from the snapshot, and replays in a process of its own."""
    folder = run.make_folder(name)
    run_probe(root, "fill", folder / "journal.db", trades, SYMBOLS)
    start(folder, root, trades)

    def measure() -> dict[str, float]:
        seconds, peak = start(folder, root, trades)
        found = {"ready, s": seconds, "peak memory, MB": peak}
        if trades:
            replayed = run_probe(root, "replay", folder / "journal.db")
            check_equal("replayed", replayed["counted"], trades)
            found["replay, trades/s"] = trades / replayed["seconds"]
            found["replay CPU, µs"] = replayed["cpu"] / trades * 1e6
        return found

    yield measure


def list_subjects(run: Run) -> Mapping[str, Opening]:
    """List the programs, and ours with an empty journal, which is the floor of a start."""
    trades = run.choose(TRADES, TRADES_QUICK)
    return run.open_programs(open_program, trades) | {EMPTY: partial(open_program, run, EMPTY, run.programs[OURS], 0)}


RESTART = Measure("restart", list_subjects, warm_up=False)

"""The time until the sidecar is ready with a large journal: ``python -m bench.restart [TRADES]``."""

import contextlib
import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import requests

from bench.fold import read_journal
from common.event import Event
from common.journal.store import Journal
from tests.conftest import append
from tests.system.stack import free_ports

TRADES = 5_000_000
ROUNDS = 3
START_SECONDS = 120
COMMIT_SIZE = 20_000


def fill(path: Path, trades: int) -> None:
    """Append trades of twenty symbols."""
    timestamp = "2026-01-31T09:30:00.000000Z"
    with Journal(path, "normal") as journal:
        for start in range(0, trades, COMMIT_SIZE):
            append(journal,
                [
                    Event(
                        timestamp, f"SYMBOL{n % 20}", "SELL" if n % 3 else "BUY",
                        f"{20_000 + n % 7919}.{n % 97:02}", f"{n % 13}.{n % 9973:04}1",
                        seq=0, id=f"{n:036}", journal_id="", accepted_at=timestamp,
                    )
                    for n in range(start, start + COMMIT_SIZE)
                ]
            )  # fmt: skip


def start(folder: Path) -> tuple[float, float]:
    """Start the sidecar, wait until it is ready, stop it; return the seconds and its peak memory in MB."""
    http, hints = free_ports(2)
    settings = {
        "SIDECAR_HTTP_PORT": str(http),
        "WEBAPP_ZMQ_ADDR": f"tcp://127.0.0.1:{hints}",
        "JOURNAL_PATH": str(folder / "journal.db"),
        "SNAPSHOT_PATH": str(folder / "snapshot"),
    }
    began = time.perf_counter()
    with (
        (folder / "log").open("ab") as log,
        subprocess.Popen([sys.executable, "-m", "sidecar"], env=os.environ | settings, stderr=log) as process,
    ):
        while not is_ready(http):
            if process.poll() is not None or time.perf_counter() - began > START_SECONDS:
                process.kill()
                raise RuntimeError((folder / "log").read_text()[-2000:])
            time.sleep(0.005)
        seconds = time.perf_counter() - began
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
        process.terminate()
    return seconds, int(found[1]) / 1024 if found else float("nan")


def is_ready(port: int) -> bool:
    """Return whether the sidecar is ready."""
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).ok
    return False


def main() -> None:
    """Measure and print."""
    trades = int(sys.argv[1]) if len(sys.argv) > 1 else TRADES
    rows = {"replay alone": [], "with a snapshot": [], "floor: the same with an empty journal": []}  # type: dict[str, list[tuple[float, float]]]
    reads: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        full, empty = Path(name) / "full", Path(name) / "empty"
        for folder in (full, empty):
            folder.mkdir()
        fill(full / "journal.db", trades)
        for _ in range(ROUNDS):
            for snapshot in full.glob("snapshot*"):
                snapshot.unlink()
            rows["replay alone"].append(start(full))
            rows["with a snapshot"].append(start(full))
            rows["floor: the same with an empty journal"].append(start(empty))
            began = time.perf_counter()
            read_journal(full / "journal.db")
            reads.append(trades / (time.perf_counter() - began))
    for label, found in rows.items():
        seconds, memory = (median(values) for values in itertools.zip_longest(*found))
        print(f"{label}: ready after {seconds:.2f} s, peak memory {memory:.0f} MB")
    replay = trades / median(seconds for seconds, _ in rows["replay alone"])
    reading = median(reads)
    print(f"replay: {replay:,.0f} trades/s, {replay / reading:.2f} of reading the journal alone ({reading:,.0f})")


if __name__ == "__main__":
    main()

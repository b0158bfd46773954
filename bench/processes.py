"""Processes that are measured: started, waited for, stopped; their processor time and memory."""

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil
import requests

from bench.measure import check_equal
from tests.conftest import ROOT
from tests.system.stack import Stack
from tests.waiting import wait_for

START_SECONDS: Final = 120
STOP_SECONDS: Final = 20
LOAD_SECONDS: Final = 300
PROBE_SECONDS: Final = 600
COUNT_SECONDS: Final = 300
COUNTED: Final = "trading_trades_total"
PROBES: Final = ROOT / "bench" / "probes"


def read_cpu(*processes: psutil.Process) -> float:
    """Read the processor seconds of processes and of all that they started and that runs."""
    found = {each for process in processes for each in (process, *process.children(recursive=True))}
    return sum(sum(each.cpu_times()[:2]) for each in found)


def read_mb(process: psutil.Process) -> float:
    """Read the resident memory of a process, shared pages included, in MB."""
    return float(process.memory_info().rss) / 1e6


def count_rows(journal: Path) -> int:
    """Count the trades of a journal that any version of the product may have written."""
    # Opening it as this version would bring it to the schema of this version.
    with contextlib.closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM trades").fetchone()
    return int(count)


def measure_journal(journal: Path) -> int:
    """Return the bytes of a journal that no process uses, once its write-ahead log is in it."""
    # The last process to close it does this, unless it was ended before.
    with contextlib.closing(sqlite3.connect(journal)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return journal.stat().st_size


@contextlib.contextmanager
def run_stack(folder: Path, root: Path, parts: Sequence[str] = ("",), **settings: str) -> Iterator[Stack]:
    """Run web and sidecar of the checkout in ``root``, or only some ``parts``, with their files in a folder."""
    with Stack(folder, **{"LOG_LEVEL": "WARNING", "JOURNAL_SYNC": "full"} | settings) as stack:
        stack.root = root
        for part in parts:
            stack.start(part)
        yield stack


@contextlib.contextmanager
def serve(
    command: Sequence[str], port: int, log: Path, settings: Mapping[str, str], root: Path = ROOT
) -> Iterator[psutil.Process]:
    """Run a server until the block ends; begins when something listens on its port."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=root, env=os.environ | settings, stdout=file, stderr=file)
    try:
        _wait_until_served(process, port, log)
        yield psutil.Process(process.pid)
    finally:
        stop(process)


def _wait_until_served(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    message = f"nothing serves port {port} after {START_SECONDS} s: {log.read_text()[-2000:]}"
    raise RuntimeError(message)


def stop(process: subprocess.Popen[Any]) -> None:
    """End a process, by force if it does not."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_counted(stack: Stack, trades: int, every: float = 0.25) -> float:
    """Wait until the sidecar has counted so many trades, and return the seconds that it took; then check its metric.

    Raises AssertionError when it counts more, or stops before.
    """
    began = time.perf_counter()
    with requests.Session() as session:

        def is_counted() -> bool:
            # Not a scrape, and not often: it takes processor time of what is measured.
            return bool(session.get(f"{stack.sidecar_url}/readyz", timeout=60).json()["last_seq"] >= trades)

        wait_for(is_counted, f"{trades} trades are counted", COUNT_SECONDS, every)
    seconds = time.perf_counter() - began
    check_equal("counted", stack.total(COUNTED), trades)
    return seconds


def run_load(port: int, count: int, *options: str) -> dict[str, float]:
    """Send requests with ``bench.load``. Raises AssertionError unless each was answered as expected."""
    command = [sys.executable, "-m", "bench.load", str(port), str(count), *options]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=LOAD_SECONDS)
    result: dict[str, float] = json.loads(done.stdout)
    if result["expected"] != count:
        message = f"{count} requests were sent, but {result['expected']:.0f} were answered as expected"
        raise AssertionError(message)
    return result


def run_probe(root: Path, name: str, *arguments: object) -> dict[str, float]:
    """Run a script of ``bench/probes`` with the packages of the checkout in ``root``, and return its figures."""
    command = [sys.executable, str(PROBES / f"{name}.py"), *map(str, arguments)]
    environ = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(
        command, cwd=root, env=environ, capture_output=True, text=True, check=False, timeout=PROBE_SECONDS
    )
    if done.returncode:
        message = f"{name}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
        raise RuntimeError(message)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures

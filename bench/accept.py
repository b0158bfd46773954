"""Accepting trades under gunicorn, compared with the floor: an endpoint that does nothing, same server and settings."""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.fold import read_journal

WORKERS = 2
COUNT = 6000
ROUNDS = 7
LOAD_SECONDS = 30
START_SECONDS = 20
STOP_SECONDS = 10

PEERS = {"accept, requests/s": "floor, requests/s", "accept, p99 in ms": "floor, p99 in ms"}

_ROOT = Path(__file__).resolve().parent.parent


def measure() -> dict[str, list[float]]:
    """Return requests per second and the 99th percentile in ms, round by round, of accepting and of the floor."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            _serve("webapp:create_app()", folder / "accept") as port,
            _serve("bench.floor:app", folder / "floor") as floor_port,
        ):
            found, created = _alternate({"accept": port, "floor": floor_port})
        _check_journal(folder / "accept" / "journal.db", created["accept"])
    return found


def _alternate(ports: dict[str, int]) -> tuple[dict[str, list[float]], dict[str, int]]:
    found: dict[str, list[float]] = {
        f"{name}, {figure}": [] for figure in ("requests/s", "p99 in ms") for name in ports
    }
    # The first load warms both servers up. It is not measured, but its trades are in the journal.
    created = {name: _load(port)["created"] for name, port in ports.items()}
    for _ in range(ROUNDS):
        for name, port in ports.items():
            result = _load(port)
            created[name] += result["created"]
            found[f"{name}, requests/s"].append(result["rate"])
            found[f"{name}, p99 in ms"].append(result["p99_ms"])
    return found, {name: int(count) for name, count in created.items()}


def _load(port: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.load", str(port), str(COUNT)]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, check=True, timeout=LOAD_SECONDS)
    result: dict[str, float] = json.loads(done.stdout)
    if result["created"] != COUNT:
        message = f"{COUNT} requests were sent, but {result['created']} were answered 201"
        raise AssertionError(message)
    return result


def _check_journal(path: Path, created: int) -> None:
    rows = read_journal(path)
    if rows != created:
        message = f"{created} trades were answered 201, but the journal has {rows} rows"
        raise AssertionError(message)


@contextlib.contextmanager
def _serve(app: str, folder: Path) -> Iterator[int]:
    """Serve with the product's gunicorn settings, its journal, hints and log in ``folder``; yields the port."""
    folder.mkdir()
    port = _find_port()
    settings = {
        "WEBAPP_HTTP_HOST": "127.0.0.1",
        "WEBAPP_HTTP_PORT": str(port),
        "WEBAPP_ZMQ_ADDR": f"ipc://{folder}/hints",
        "JOURNAL_PATH": str(folder / "journal.db"),
        "JOURNAL_SYNC": "full",
        "SECRET_KEY": secrets.token_urlsafe(32),
        "WEB_CONCURRENCY": str(WORKERS),
        "LOG_LEVEL": "INFO",
    }
    command = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", app]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=_ROOT, env=os.environ | settings, stdout=log, stderr=log)
    try:
        _wait_until_served(process, port, folder / "log")
        yield port
    finally:
        _stop(process)


def _wait_until_served(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    message = f"nothing serves port {port} after {START_SECONDS} s: {log.read_text()[-2000:]}"
    raise RuntimeError(message)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

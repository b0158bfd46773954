"""Accepting trades under gunicorn, beside the floor: the same server with an endpoint that does no work."""

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

from tape.journal import Journal

WORKERS = 2
COUNT = 6000
ROUNDS = 5

_GUNICORN = [sys.executable, "-m", "gunicorn"]


def measure() -> dict[str, list[float]]:
    """Give requests a second and the 99th percentile in ms, round by round, of accepting and of the floor."""
    found: dict[str, list[float]] = {"accept/s": [], "floor/s": [], "accept p99 ms": [], "floor p99 ms": []}
    with tempfile.TemporaryDirectory() as folder:
        port, floor_port = _free_port(), _free_port()
        settings = {
            "WEBAPP_HTTP_PORT": str(port),
            "WEBAPP_ZMQ_ADDR": f"ipc://{folder}/hints",
            "JOURNAL_PATH": f"{folder}/journal.db",
            "SECRET_KEY": secrets.token_urlsafe(32),
            "WEB_CONCURRENCY": str(WORKERS),
            "LOG_LEVEL": "WARNING",
        }
        floor = ["--config", "/dev/null", "-k", "gevent", "-w", str(WORKERS), "-b", f"127.0.0.1:{floor_port}"]
        with (
            _serve([*_GUNICORN, "webapp:create_app()"], settings, port),
            _serve([*_GUNICORN, *floor, "bench.floor:app"], {"LOG_LEVEL": "WARNING"}, floor_port),
        ):
            _load(port)
            _load(floor_port)
            for _ in range(ROUNDS):
                for name, at in (("accept", port), ("floor", floor_port)):
                    result = _load(at)
                    found[f"{name}/s"].append(result["rate"])
                    found[f"{name} p99 ms"].append(result["p99_ms"])
        with Journal(Path(settings["JOURNAL_PATH"])) as journal:
            journalled = journal.last_seq()
    if journalled != COUNT * (ROUNDS + 1):
        message = f"{COUNT * (ROUNDS + 1)} trades were accepted, but {journalled} are in the journal"
        raise AssertionError(message)
    return found


def _load(port: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.load", str(port), str(COUNT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    result: dict[str, float] = json.loads(done.stdout)
    if result["created"] != COUNT:
        message = f"{COUNT} requests were sent, but {result['created']} answered 201"
        raise AssertionError(message)
    return result


@contextlib.contextmanager
def _serve(command: list[str], settings: dict[str, str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, env=os.environ | settings, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                message = f"{' '.join(command)} does not serve"
                raise RuntimeError(message)
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""Accepting trades, beside bare Flask under gunicorn, and FastAPI under uvicorn with and without our journal.

``python -m bench.accept`` prints the table alone.
"""

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
from statistics import median

import psutil

from bench.fold import read_journal
from tests.system.stack import free_ports

WORKERS = 2
COUNT = 6000
ROUNDS = 5
LOAD_SECONDS = 60
START_SECONDS = 30
STOP_SECONDS = 10

GUNICORN = (sys.executable, "-m", "gunicorn")
BARE = ("--config", "/dev/null", "--workers", str(WORKERS), "--worker-class", "gevent", "--bind", "127.0.0.1:{port}")
UVICORN = (sys.executable, "-m", "uvicorn", "--workers", str(WORKERS), "--no-access-log", "bench.fastapi_peer:app")

SERVERS = {
    "accept": (*GUNICORN, "--config", "gunicorn.conf.py", "webapp:create_app()"),
    "bare Flask": (*GUNICORN, *BARE, "bench.floor:app"),
    "FastAPI": UVICORN,
    "FastAPI, durable": UVICORN,
}
DURABLE = ("accept", "FastAPI, durable")
FIGURES = ("µs of CPU a request", "requests/s", "p99 in ms")

PEERS = {f"accept, {figure}": f"FastAPI, durable, {figure}" for figure in FIGURES}

_ROOT = Path(__file__).resolve().parent.parent


def measure() -> dict[str, list[float]]:
    """Return the FIGURES of each of the SERVERS, round by round."""
    found: dict[str, list[float]] = {f"{name}, {figure}": [] for name in SERVERS for figure in FIGURES}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(_serve(name, _find_folder(folder, name))) for name in SERVERS}
        # The first load warms the servers up. It is not measured, but its trades are in the journal.
        for round_ in range(ROUNDS + 1):
            for name, (port, process) in servers.items():
                result = _load(port, process)
                for figure in FIGURES if round_ else ():
                    found[f"{name}, {figure}"].append(result[figure])
        for name in DURABLE:
            _check_journal(_find_folder(folder, name) / "journal.db", COUNT * (ROUNDS + 1))
    return found


def _find_folder(parent: str, name: str) -> Path:
    return Path(parent) / str(list(SERVERS).index(name))


def _load(port: int, server: psutil.Process) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.load", str(port), str(COUNT)]
    before = _read_cpu(server)
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, check=True, timeout=LOAD_SECONDS)
    result: dict[str, float] = json.loads(done.stdout)
    if result["created"] != COUNT:
        message = f"{COUNT} requests were sent, but {result['created']} were answered 201"
        raise AssertionError(message)
    cpu = (_read_cpu(server) - before) / COUNT * 1e6
    return {"µs of CPU a request": cpu, "requests/s": result["rate"], "p99 in ms": result["p99_ms"]}


def _read_cpu(server: psutil.Process) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in (server, *server.children(recursive=True)))


def _check_journal(path: Path, created: int) -> None:
    rows = read_journal(path)
    if rows != created:
        message = f"{created} trades were answered 201, but the journal has {rows} rows"
        raise AssertionError(message)


@contextlib.contextmanager
def _serve(name: str, folder: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Run a server with its journal, hints and log in ``folder``; yields its port and its process."""
    folder.mkdir()
    (port,) = free_ports(1)
    settings = {
        "WEBAPP_HTTP_HOST": "127.0.0.1",
        "WEBAPP_HTTP_PORT": str(port),
        "WEBAPP_ZMQ_ADDR": f"ipc://{folder}/hints",
        "JOURNAL_PATH": str(folder / "journal.db"),
        "JOURNAL_SYNC": "full",
        "SECRET_KEY": secrets.token_urlsafe(32),
        "WEB_CONCURRENCY": str(WORKERS),
        "LOG_LEVEL": "INFO",
        "UVICORN_PORT": str(port),
        "DURABLE": str(int(name in DURABLE)),
    }
    with (folder / "log").open("wb") as log:
        command = [part.format(port=port) for part in SERVERS[name]]
        process = subprocess.Popen(command, cwd=_ROOT, env=os.environ | settings, stdout=log, stderr=log)
    try:
        _wait_until_served(process, port, folder / "log")
        yield port, psutil.Process(process.pid)
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


def main() -> None:
    """Print the medians of ROUNDS rounds."""
    found = measure()
    for name in SERVERS:
        cells = (f"{median(found[f'{name}, {figure}']):9.1f} {figure}" for figure in FIGURES)
        sys.stdout.write(f"{name:17}" + "  ".join(cells) + "\n")


if __name__ == "__main__":
    main()

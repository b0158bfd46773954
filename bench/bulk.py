"""The cost of bulk reads for senders of trades: ``python -m bench.bulk``."""

import contextlib
import http.client
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.posting import Load, p99_ms
from bench.retention import fill
from tests.system.stack import Stack

CLIENTS = 4
SECONDS = 8
READ_BYTES = 262_144
ROUNDS = 2

READS = {
    "CSV downloads": "/blotter.csv",
    "histories of the feed": "/feed?after=0",
    "searches that find nothing": "/trades?side=SELL&after=0",
    "searches by time": "/blotter?since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z",
    "readiness": "/readyz",
}


def request_forever(port: int, path: str) -> None:
    """Send one request after the other, and read each answer at full speed."""
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", path)
            response = connection.getresponse()
            while response.read(READ_BYTES):
                pass
        connection.close()


@contextlib.contextmanager
def under(port: int, path: str | None) -> Iterator[None]:
    """Run CLIENTS processes that request a path for the duration of the block."""
    command = [sys.executable, "-m", "bench.bulk", str(port), str(path)]
    clients = [subprocess.Popen(command) for _ in range(CLIENTS if path else 0)]
    try:
        yield
    finally:
        for client in clients:
            client.kill()
            client.wait()


def measure(port: int, path: str | None) -> tuple[float, float]:
    """Return the 99th percentiles of POST /trade and of GET /trades/<id>, in ms, while a path is requested."""
    lookups: list[float] = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with under(port, path):
        time.sleep(1)
        with Load(port) as load:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                began = time.perf_counter()
                connection.request("GET", f"/trades/{7:036}")
                connection.getresponse().read()
                lookups.append(time.perf_counter() - began)
                time.sleep(0.02)
    return p99_ms(load.delays), p99_ms(lookups)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), LOG_LEVEL="WARNING") as stack:
        fill(Path(stack.settings["JOURNAL_PATH"]))
        stack.start("web")
        port = int(stack.settings["WEBAPP_HTTP_PORT"])
        for _ in range(ROUNDS):
            for name, path in {"quiet": None, **READS}.items():
                post, lookup = measure(port, path)
                sys.stdout.write(f"{name}: p99 of POST /trade {post:.1f} ms, of GET /trades/<id> {lookup:.1f} ms\n")
                sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        request_forever(int(sys.argv[1]), sys.argv[2])
    main()

"""Batches of a thousand trades, accepted and counted: ``python -m bench.batch``."""

import gzip
import http.client
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import psutil

from bench.posting import Load, p99_ms
from tests.system.stack import Stack

SIZE = 1000
BATCHES = 100
CONNECTIONS = 4
ROUNDS = 3
SINGLES = 20
"""Single trades a second beside the batches."""


def make_trades() -> list[dict[str, str]]:
    """Make the trades of one batch."""
    return [
        {"symbol": f"SYMBOL{n % 20}", "side": "BUY", "price": f"{27_000 + n}.5", "qty": "0.25", "source": "bench"}
        for n in range(SIZE)
    ]


def make_forms() -> dict[str, tuple[bytes, dict[str, str]]]:
    """Make the body and the headers of each form of a batch."""
    trades = make_trades()
    array, lines = json.dumps(trades).encode(), b"\n".join(json.dumps(trade).encode() for trade in trades)
    kind = {"Content-Type": "application/json"}
    return {
        "JSON": (array, kind),
        "NDJSON": (lines, {"Content-Type": "application/x-ndjson"}),
        "JSON, gzip": (gzip.compress(array, 6), kind | {"Content-Encoding": "gzip"}),
    }


def send(port: int, body: bytes, headers: dict[str, str], count: int) -> None:
    """Send a batch ``count`` times over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(count):
        connection.request("POST", "/trades", body, headers)
        response = connection.getresponse()
        response.read()
        if response.status != http.client.CREATED:
            message = f"answered {response.status}"
            raise RuntimeError(message)
    connection.close()


def read_cpu(processes: set[psutil.Process]) -> float:
    """Read the CPU seconds of processes."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def measure(stack: Stack, form: tuple[bytes, dict[str, str]], singles: int) -> dict[str, float]:
    """Send BATCHES batches; return trades/s accepted and counted, CPU µs a trade, and p99 ms of single posts."""
    port = int(stack.settings["WEBAPP_HTTP_PORT"])
    before = stack.journalled()
    web, sidecar = read_cpu(stack.workers()), read_cpu({stack.find("sidecar")})
    threads = [threading.Thread(target=send, args=(port, *form, BATCHES // CONNECTIONS)) for _ in range(CONNECTIONS)]
    with Load(port, singles) as load:
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        accepted = time.perf_counter() - began
    stack.wait_counted(stack.journalled(), 120)
    counted = time.perf_counter() - began
    trades = stack.journalled() - before
    return {
        "accepted/s": trades / accepted,
        "counted/s": trades / counted,
        "web µs": (read_cpu(stack.workers()) - web) / trades * 1e6,
        "sidecar µs": (read_cpu({stack.find("sidecar")}) - sidecar) / trades * 1e6,
        "p99 ms": p99_ms(load.delays),
    }


def main() -> None:
    """Print the medians of ROUNDS rounds for each form."""
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        stack.start()
        forms = make_forms()
        measure(stack, forms["JSON"], SINGLES)
        for name, form in forms.items():
            rounds = [measure(stack, form, SINGLES) for _ in range(ROUNDS)]
            row = {key: median(each[key] for each in rounds) for key in rounds[0]}
            sys.stdout.write(f"{name:11}" + "".join(f"  {key} {value:9.1f}" for key, value in row.items()) + "\n")


if __name__ == "__main__":
    main()

"""``POST /trades`` with 1,000 trades, as JSON, as lines and with gzip, over 4 connections: accepted and counted."""

import contextlib
import gzip
import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from bench.measure import Measure, Opening, Round, Run, check_equal
from bench.processes import count_rows, read_cpu, run_stack, wait_counted
from tests.system.stack import Stack

SIZE: Final = 1_000
BATCHES: Final = 100
BATCHES_QUICK: Final = 20
OTHER_BATCHES: Final = 20
"""In the forms that have no goal."""

CONNECTIONS: Final = 4


def make_trades(symbols: int = 20, first: int = 0) -> list[dict[str, str]]:
    """Make the trades of one batch."""
    return [
        {
            "symbol": f"SYMBOL{n % symbols}",
            "side": "SELL" if n % 3 else "BUY",
            "price": f"{27_000 + n % 977}.5",
            "qty": "0.25",
            "source": "bench",
        }
        for n in range(first, first + SIZE)
    ]


def make_forms() -> dict[str, tuple[bytes, dict[str, str]]]:
    """Make the body and the headers of each form of a batch."""
    trades = make_trades()
    array, lines = json.dumps(trades).encode(), b"\n".join(json.dumps(trade).encode() for trade in trades)
    kind = {"Content-Type": "application/json"}
    return {
        "JSON": (array, kind),
        "lines": (lines, {"Content-Type": "application/x-ndjson"}),
        "gzip": (gzip.compress(array, 6), kind | {"Content-Encoding": "gzip"}),
    }


def send(port: int, bodies: Iterator[bytes], headers: dict[str, str], statuses: list[int]) -> None:
    """Send one batch after the other over one connection, and note the statuses."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        for body in bodies:
            connection.request("POST", "/trades", body, headers)
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)


def send_all(stack: Stack, bodies: list[bytes], headers: dict[str, str]) -> float:
    """Send batches over CONNECTIONS, and return the seconds. Raises AssertionError unless each was answered 201."""
    port, left, statuses = int(stack.settings["WEBAPP_HTTP_PORT"]), iter(bodies), list[int]()
    threads = [threading.Thread(target=send, args=(port, left, headers, statuses)) for _ in range(CONNECTIONS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    check_equal("batches answered 201", statuses.count(http.client.CREATED), len(bodies))
    return seconds


@contextlib.contextmanager
def open_stack(run: Run, name: str, root: Path) -> Iterator[Round]:
    """Run a stack; a round sends batches in each form, and waits until all is counted."""
    forms, sent = make_forms(), 0
    folder = run.make_folder(name)
    with run_stack(folder, root) as stack:
        web, sidecar = stack.find("web"), stack.find("sidecar")

        def measure_form(form: str, batches: int) -> dict[str, float]:
            nonlocal sent
            body, headers = forms[form]
            before = read_cpu(web), read_cpu(sidecar)
            accepted = send_all(stack, [body] * batches, headers)
            trades = SIZE * batches
            sent += trades
            counted = accepted + wait_counted(stack, sent, every=0.03)
            check_equal("rows of the journal", count_rows(folder / "journal.db"), sent)
            return {
                "web CPU, µs": (read_cpu(web) - before[0]) / trades * 1e6,
                "sidecar CPU, µs": (read_cpu(sidecar) - before[1]) / trades * 1e6,
                "accepted/s": trades / accepted,
                "counted/s": trades / counted,
            }

        def measure() -> dict[str, float]:
            found = measure_form("JSON", run.choose(BATCHES, BATCHES_QUICK))
            for form in ("lines", "gzip"):
                others = measure_form(form, min(OTHER_BATCHES, run.choose(BATCHES, BATCHES_QUICK)))
                found[f"web CPU as {form}, µs"] = others["web CPU, µs"]
            return found

        yield measure


def list_subjects(run: Run) -> Mapping[str, Opening]:
    """List the programs."""
    return run.open_programs(open_stack)


BATCH = Measure("batch", list_subjects)

"""Pruning a million trades to a tenth while trades are accepted: ``python -m bench.retention``."""

import http.client
import json
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path
from statistics import quantiles
from typing import Self

from bench.fold import read_journal
from common.event import Event
from common.journal.store import Journal
from common.timestamps import format_timestamp, now
from tests.conftest import append
from tests.system.stack import Stack

TRADES = 1_000_000
KEPT = 100_000
RATE = 100
WARM_SECONDS = 20
LIMIT_SECONDS = 900
COMMIT_SIZE = 10_000

BODY = json.dumps({"symbol": "BTCUSDT", "side": "BUY", "price": "27123.45", "qty": "0.25"})


def fill(path: Path) -> None:
    """Append trades, all but the last of them two hours old."""
    old, new = format_timestamp(now() - timedelta(hours=2)), format_timestamp(now())
    with Journal(path, "normal") as journal:
        for start in range(0, TRADES, COMMIT_SIZE):
            timestamp = old if start < TRADES - KEPT else new
            append(journal,
                [
                    Event(
                        timestamp, f"SYMBOL{n % 20}", "BUY", f"{1 + n % 7919}.5", "0.125",
                        seq=0, id=f"{n:036}", journal_id="", accepted_at=timestamp,
                    )
                    for n in range(start, start + COMMIT_SIZE)
                ]
            )  # fmt: skip


class Load:
    """Posts trades at a steady rate and records the delay of each."""

    def __init__(self, port: int, rate: float = RATE) -> None:
        """Keep the port of the web process, and the trades per second to post."""
        self._rate = rate
        self.delays: list[float] = []
        self._port = port
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        due = time.perf_counter()
        while not self._ending.wait(max(0.0, due - time.perf_counter())):
            due += 1 / self._rate
            began = time.perf_counter()
            connection.request("POST", "/trade", BODY, {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            if response.status != http.client.CREATED:
                message = f"a trade was answered {response.status}"
                raise AssertionError(message)
            self.delays.append(time.perf_counter() - began)

    def __enter__(self) -> Self:
        """Start to post."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop posting."""
        self._ending.set()
        self._thread.join(60)


def p99_ms(delays: list[float]) -> float:
    """Return the 99th percentile in ms."""
    return quantiles(delays, n=100)[98] * 1000


def run(folder: Path, retention: str) -> None:
    """Start the stack over the journal in ``folder``, load it, and print the results."""
    path = folder / "journal.db"
    with Stack(folder, JOURNAL_RETENTION=retention) as stack:
        stack.start()
        with Load(int(stack.settings["WEBAPP_HTTP_PORT"])) as load:
            began = time.monotonic()
            until = WARM_SECONDS if retention == "0" else LIMIT_SECONDS
            while time.monotonic() - began < until:
                time.sleep(1)
                if retention != "0" and first_seq(path) > TRADES - KEPT:
                    break
            seconds = time.monotonic() - began
        stack.wait_counted(int(stack.total("sidecar_journal_last_seq")), 30)
        size = sum(each.stat().st_size for each in folder.glob("journal.db*")) / 1e6
        print(
            f"retention {retention}: {seconds:.0f} s under {len(load.delays) / seconds:.0f} trades/s, "
            f"p99 of POST /trade {p99_ms(load.delays):.1f} ms; "
            f"{read_journal(path):,} trades and {size:.0f} MB in the journal; "
            f"counted {stack.total('trading_trades_total'):,.0f} of {stack.total('sidecar_journal_last_seq'):,.0f}"
        )
        print(stack.run_cli("audit").stdout.splitlines()[-1])


def first_seq(path: Path) -> int:
    """Return the seq of the oldest trade in the journal."""
    with Journal(path) as journal:
        return journal.read_after(0, 1)[0].seq


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "journal.db")
        run(folder, "0")
        run(folder, "1h")


if __name__ == "__main__":
    main()

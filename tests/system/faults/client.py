"""A client that never gives a trade up: it sends it, under one key, until the answer is 201."""

import contextlib
import http.client
import json
import random
import threading
import time
from collections import Counter
from decimal import Decimal
from typing import NamedTuple, Self

RETRY_SECONDS = 0.05
ANSWER_SECONDS = 20


class Accepted(NamedTuple):
    """What the client knows of an accepted trade."""

    symbol: str
    side: str
    quantity: Decimal


class Client:
    """Sends trades at a steady rate from some threads; after an outage they catch up."""

    def __init__(self, port: int, rate: float, seed: int, threads: int = 16) -> None:
        self.accepted: dict[str, Accepted] = {}
        self.refused: Counter[str] = Counter()
        self.unanswered = 0
        self.replayed = 0
        self._port = port
        self._rate = rate
        self._began = time.monotonic()
        self._pause = threads / rate
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(seed, index)) for index in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def has_caught_up(self) -> bool:
        """Tell whether as many trades are accepted as the rate asks for by now, but for the last second's."""
        return len(self.accepted) >= self._rate * (time.monotonic() - self._began - 1)

    def finish(self) -> None:
        """Make no new trades, and wait until those that were begun are accepted."""
        self._ending.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a trade was not accepted within a minute after the last fault"

    def _run(self, seed: int, index: int) -> None:
        dice = random.Random(seed * 1000 + index)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS)
        due = time.monotonic()
        number = 0
        while not self._ending.is_set():
            number += 1
            trade = {
                "symbol": dice.choice(("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")),
                "side": dice.choice(("BUY", "SELL")),
                "price": f"{dice.uniform(1, 30_000):.4f}",
                "qty": f"{dice.uniform(0.001, 10):.8f}",
            }
            while not self._send(connection, trade, f"{seed}-{index}-{number}"):
                time.sleep(RETRY_SECONDS)
            due += self._pause
            self._ending.wait(max(0.0, due - time.monotonic()))
        connection.close()

    def _send(self, connection: http.client.HTTPConnection, trade: dict[str, str], key: str) -> bool:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        try:
            connection.request("POST", "/trade", json.dumps(trade), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (http.client.HTTPException, OSError, ValueError):
            connection.close()
            with self._lock:
                self.unanswered += 1
            return False
        with self._lock:
            if response.status != http.client.CREATED:
                self.refused[f"{response.status} {answer['reason']}"] += 1
                return False
            self.replayed += response.headers["Idempotent-Replayed"] == "true"
            assert answer["id"] not in self.accepted, "two trades have one id"
            self.accepted[answer["id"]] = Accepted(trade["symbol"], trade["side"], Decimal(trade["qty"]))
        return True


class Watcher:
    """Scrapes the sidecar again and again, and notes each counter that fell or vanished between two answers."""

    def __init__(self, port: int, every: float = 0.2) -> None:
        self.samples = 0
        self.fell: list[str] = []
        self.vanished: list[str] = []
        self._port = port
        self._every = every
        self._last: dict[str, float] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(ANSWER_SECONDS)

    def _run(self) -> None:
        while not self._ending.wait(self._every):
            with contextlib.suppress(http.client.HTTPException, OSError):
                self._look()

    def _look(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        now = read_counters(text)
        self.samples += 1
        self.vanished += sorted(self._last.keys() - now.keys())
        self.fell += [
            f"{name}: {self._last[name]} to {value}" for name, value in now.items() if value < self._last.get(name, 0)
        ]
        self._last = now


def read_counters(text: str) -> dict[str, float]:
    """Read every counter and every part of a histogram that lives longer than one process."""
    found: dict[str, float] = {}
    kind = ""
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            kind = line.rsplit(" ", 1)[1]
        elif not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            lasting = name.startswith(("trading_", "sidecar_", "webapp_")) and "_created" not in name
            if kind in {"counter", "histogram"} and lasting and not name.startswith("sidecar_snapshot_failures"):
                found[name] = float(value)
    return found

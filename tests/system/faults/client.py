"""A client that sends each trade, alone or in a batch, with one idempotency key until the answer is 201."""

import contextlib
import http.client
import json
import math
import random
import threading
import time
from collections import Counter
from decimal import Decimal
from typing import Any, NamedTuple, Self

RETRY_SECONDS = 0.05
# Less than a counted trade stays in the journal after a step of the clock, a third of JOURNAL_RETENTION.
ANSWER_SECONDS = 5
BATCH = 20
BATCH_EVERY = 4


class Accepted(NamedTuple):
    """An accepted trade, as the client sent it."""

    symbol: str
    side: str
    quantity: Decimal


class Client:
    """Sends ``rate`` trades per second from ``threads`` threads, which catch up after an outage."""

    def __init__(self, port: int, rate: float, seed: int, threads: int = 16) -> None:
        self.accepted: dict[str, Accepted] = {}
        self.rejected: Counter[str] = Counter()
        self.unanswered = 0
        self.replayed = 0
        self._begun = dict.fromkeys(range(threads), math.inf)
        self._port = port
        self._rate = rate
        self._began = time.monotonic()
        self._pause = threads / rate
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(seed, index)) for index in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def has_caught_up(self) -> bool:
        """Whether the accepted trades match the rate, and those in progress began within the last second.

        An older one may be in the journal without an answer, and its key with it; no later fault delays it further.
        """
        recent = time.monotonic() - 1
        is_in_time = len(self.accepted) >= self._rate * (recent - self._began)
        return is_in_time and all(begun > recent for begun in self._begun.values())

    def finish(self) -> None:
        """Stop sending new trades, and wait until those in progress are accepted."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a trade was not accepted within a minute after the last fault"

    def _run(self, seed: int, index: int) -> None:
        rng = random.Random(seed * 1000 + index)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS)
        due = time.monotonic()
        number = 0
        # Some threads send batches, at the same rate of trades.
        size = BATCH if index % BATCH_EVERY == 0 else 1
        while not self._stopping.is_set():
            number += 1
            trades = [
                {
                    "symbol": rng.choice(("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")),
                    "side": rng.choice(("BUY", "SELL")),
                    "price": f"{rng.uniform(1, 30_000):.4f}",
                    "qty": f"{rng.uniform(0.001, 10):.8f}",
                }
                for _ in range(size)
            ]
            send = self._send if size == 1 else self._send_batch
            self._begun[index] = time.monotonic()
            while not send(connection, trades, f"{seed}-{index}-{number}"):
                time.sleep(RETRY_SECONDS)
            self._begun[index] = math.inf
            due += self._pause * size
            self._stopping.wait(max(0.0, due - time.monotonic()))
        connection.close()

    def _send(self, connection: http.client.HTTPConnection, trades: list[dict[str, str]], key: str) -> bool:
        """Send one trade, named by the key of its request."""
        answer = self._post(connection, "/trade", trades[0], {"Idempotency-Key": key})
        if answer is None:
            return False
        with self._lock:
            self._add([answer], trades)
        return True

    def _send_batch(self, connection: http.client.HTTPConnection, trades: list[dict[str, str]], key: str) -> bool:
        """Send a batch, each of its trades with a key of its own."""
        keyed = [trade | {"key": f"{key}-{row}"} for row, trade in enumerate(trades)]
        answer = self._post(connection, "/trades", keyed, {"Prefer": "return=representation"})
        if answer is None:
            return False
        with self._lock:
            assert answer["accepted"] + answer["duplicates"] == len(trades)
            assert answer["accepted"] in {0, len(trades)}, "a part of a batch was accepted"
            self.replayed += answer["duplicates"]
            self._add(answer["trades"], trades)
        return True

    def _post(
        self, connection: http.client.HTTPConnection, path: str, body: object, headers: dict[str, str]
    ) -> dict[str, Any] | None:
        """Post JSON; return the answer when it is 201."""
        try:
            connection.request("POST", path, json.dumps(body), headers | {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        except (http.client.HTTPException, OSError, ValueError):
            connection.close()
            with self._lock:
                self.unanswered += 1
            return None
        with self._lock:
            if response.status != http.client.CREATED:
                self.rejected[f"{response.status} {answer['reason']}"] += 1
                return None
            self.replayed += response.headers["Idempotent-Replayed"] == "true"
        return answer

    def _add(self, events: list[dict[str, Any]], trades: list[dict[str, str]]) -> None:
        for event, trade in zip(events, trades, strict=True):
            assert event["id"] not in self.accepted, "two trades have one id"
            self.accepted[event["id"]] = Accepted(trade["symbol"], trade["side"], Decimal(trade["qty"]))


class CounterMonitor:
    """Scrapes the sidecar every ``every`` seconds, and records each counter that decreased or disappeared."""

    def __init__(self, port: int, every: float = 0.2) -> None:
        self.samples = 0
        self.decreased: list[str] = []
        self.disappeared: list[str] = []
        self._port = port
        self._every = every
        self._last: dict[str, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(20)

    def _run(self) -> None:
        while not self._stopping.wait(self._every):
            with contextlib.suppress(http.client.HTTPException, OSError):
                self._scrape()

    def _scrape(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        now = read_counters(text)
        self.samples += 1
        self.disappeared += sorted(self._last.keys() - now.keys())
        self.decreased += [
            f"{name}: {self._last[name]} to {value}" for name, value in now.items() if value < self._last.get(name, 0)
        ]
        self._last = now


def read_counters(text: str) -> dict[str, float]:
    """Parse the counters and histograms that outlive a process."""
    counters: dict[str, float] = {}
    kind = ""
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            kind = line.rsplit(" ", 1)[1]
        elif not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            is_persistent = name.startswith(("trading_", "sidecar_", "webapp_")) and "_created" not in name
            if kind in {"counter", "histogram"} and is_persistent and not name.startswith("sidecar_snapshot_failures"):
                counters[name] = float(value)
    return counters

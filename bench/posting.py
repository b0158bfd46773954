"""Trades that are posted one by one at a steady rate, beside what is measured."""

import http.client
import json
import threading
import time
from statistics import quantiles
from typing import Final, Self

RATE: Final = 100
BODY: Final = json.dumps({"symbol": "BTCUSDT", "side": "BUY", "price": "27123.45", "qty": "0.25"})


class Load:
    """Posts trades at a steady rate and records the delay of each."""

    def __init__(self, port: int, rate: float = RATE) -> None:
        """Keep the port of the web process, and the trades per second to post."""
        self._rate = rate
        self.delays: list[float] = []
        self._failure: Exception | None = None
        self._port = port
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self._post()
        except Exception as error:  # noqa: BLE001 - it is raised where the load ends
            self._failure = error

    def _post(self) -> None:
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
        """Stop posting. Raises what ended it before."""
        self._ending.set()
        self._thread.join(60)
        if self._failure is not None:
            raise self._failure


def p99_ms(delays: list[float]) -> float:
    """Return the 99th percentile in ms."""
    return quantiles(delays, n=100)[98] * 1000

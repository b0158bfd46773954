"""A load of trades, each sent with its key until it is accepted, while a watcher sees whether a counter falls."""

import threading
import uuid
from collections.abc import Callable
from typing import Self

import requests

from tests.system.stack import TRADE, Stack
from tests.waiting import wait_for

TOTALS = {"trading_trades_total", "trading_quantity_total", "trading_notional_total"}
THREADS = 2


class Load:
    """Sends trades one after the other from a few threads, to the stack itself or to a proxy of it."""

    def __init__(self, stack: Stack, url: str = "", connect: Callable[[], requests.Session] = requests.Session) -> None:
        self.accepted: dict[str, str] = {}
        """The id of the event by the key of its trade."""
        self.retried = 0
        self.fell: list[str] = []
        self.scrapes = 0
        self._stack, self._url, self._connect = stack, url or stack.web_url, connect
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=run) for run in (*[self._send] * THREADS, self._watch)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a trade was not accepted within a minute"

    def _send(self) -> None:
        session = self._connect()
        while not self._stopping.wait(0.01):
            key = str(uuid.uuid4())
            while key not in self.accepted:
                # A trade that was sent may be in the journal, so it is sent again also when the load ends.
                try:
                    headers = {"Idempotency-Key": key}
                    answer = session.post(f"{self._url}/trade", json=TRADE, headers=headers, timeout=20)
                    if answer.status_code in {200, 201}:
                        self.accepted[key] = answer.json()["id"]
                        break
                except (requests.RequestException, ValueError):
                    session.close()
                self.retried += 1
                threading.Event().wait(0.05)

    def _watch(self) -> None:
        known: dict[object, float] = {}
        while not self._stopping.wait(0.05):
            try:
                samples = self._stack.samples()
            except (requests.RequestException, ValueError):
                continue
            self.scrapes += 1
            for series, value in samples.items():
                if series[0] in TOTALS:
                    if value < known.get(series, 0):
                        self.fell.append(f"{series}: {known[series]} to {value}")
                    known[series] = value

    def wait_more(self, count: int) -> None:
        """Wait until so many more trades are accepted."""
        wanted = len(self.accepted) + count
        wait_for(lambda: len(self.accepted) >= wanted, f"{count} more are accepted", 120)

"""A hub as a stack: trades that a test sends are accepted by its host, and read at the hub."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import requests

from tests.system.relay import Relay
from tests.system.stack import Stack
from tests.waiting import wait_for


class HubStack(Stack):
    """A hub with one host. What it has of a test's trades has arrived when the test goes on, under the host's seqs."""

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(folder, **settings)
        (folder / "host").mkdir()
        # The token of the relay would lock the host in the mode "auto".
        self.host = Stack(folder / "host", WEB_CONCURRENCY="1", AUTH="off", WRITES_PER_SECOND="0")
        self.relay: Relay | None = None

    def start(self, name: str = "") -> Self:
        """Start the host and the relay too, the first time."""
        if self.relay is None:
            self.host.start()
            self.relay = Relay(self, [self.host])
            wait_for(self.relay.is_ready, "the relay is ready")
        return super().start(name)

    def __exit__(self, *exit_: object) -> None:
        if self.relay is not None:
            self.relay.end()
        self.host.__exit__(*exit_)
        super().__exit__(*exit_)

    def post(self, trade: dict[str, Any] | None = None, **fields: str) -> requests.Response:
        answer = self.host.post(trade, **fields)
        self.wait_arrived()
        return answer

    def accept(self, count: int) -> None:
        self.host.accept(count)
        self.wait_arrived()

    def wait_arrived(self) -> None:
        """Wait until the hub has what the host has."""
        last = self.host.journalled()
        wait_for(lambda: self.journalled() >= last, "the trades of the host have arrived")

    @contextlib.contextmanager
    def under_trades(self, rate: int) -> Iterator[None]:
        with self.host.under_trades(rate):
            yield
        self.wait_arrived()

"""The daemon: what relays trades in one thread or several, one for HTTP, and the main thread, which watches them."""

import contextlib
import logging
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from common.errors import BadSettingError
from common.hosts import HostRule
from common.journal.store import Journal
from common.paths import RELAY
from common.serving.lock import locked
from common.serving.process import Daemon
from common.serving.routes import Check, Routes, Scrape
from common.serving.server import Server
from relay.hub import Hub

WATCH_SECONDS: Final = 0.1

_log = logging.getLogger(__name__)


class Relay(NamedTuple):
    """What runs in threads, by their names, and how to see it; ``make_scrape`` gets the rejections of the server."""

    works: Mapping[str, Callable[[threading.Event], None]]
    make_scrape: Callable[[Mapping[str, int]], Scrape]
    check_ready: Check
    write_landing: Callable[[str], bytes]
    shown: Mapping[str, object]


class RelayDaemon(Daemon):
    """A process that relays trades until it is stopped."""

    @abstractmethod
    def opened(self) -> contextlib.AbstractContextManager[Relay]:
        """Open what relays the trades, while the block runs.

        Raises BadSettingError, HubError, JournalError or LockError when it cannot start.
        """

    def run(self) -> int:
        """Relay until stopped, and return the exit code: 1 when a thread died.

        Raises as ``opened`` does, and AddressError.
        """
        settings = self._settings
        token = settings.require_relay_token()
        with self.opened() as relay:
            server = Server(settings.relay_http_host, settings.relay_http_port)
            try:
                routes = Routes(
                    HostRule(settings.relay_http_host, settings.allowed_hosts),
                    relay.make_scrape(server.rejections.counts),
                    self._threads.find_dead,
                    relay.check_ready,
                    write_landing=relay.write_landing,
                    token=token,
                )
                server.open(routes.answer)
                for name, work in relay.works.items():
                    self._threads.start(name, partial(work, self.stopping))
                self._threads.start("http", partial(server.serve_forever, poll_interval=0.1))
                _log.info("relay is running", extra={"http": server.server_address, **relay.shown})
                code = self.watch(WATCH_SECONDS)
                server.shutdown()
                self._threads.join()
            finally:
                server.server_close()
        return code

    @contextlib.contextmanager
    def hub_opened(self) -> Iterator[Hub]:
        """Open the hub's journal, which no other relay may use. Raises HubError, JournalError and LockError."""
        path = self._settings.journal_path
        with locked(hub=Path(f"{path}{RELAY}")):
            hub = Hub(Journal(path, self._settings.journal_sync))
            try:
                yield hub.adopt()
            finally:
                hub.close()


def check_transport(transport: str, wanted: str, why: str) -> None:
    """Raise BadSettingError when RELAY_TRANSPORT is not the one that is wanted."""
    if transport != wanted:
        raise BadSettingError("RELAY_TRANSPORT", transport, f"{wanted}, {why}")

"""The daemon that pulls: one thread for each host, one for HTTP, and the main thread, which watches them."""

import logging
import threading
from functools import partial
from pathlib import Path
from typing import Final

from common.hosts import HostRule
from common.journal.store import Journal
from common.links import find_links
from common.paths import RELAY
from common.serving.lock import locked
from common.serving.routes import Routes
from common.serving.server import Server
from common.serving.threads import Threads
from common.settings import Settings
from relay.collector import RelayCollector, make_scrape
from relay.hosts import read_hosts
from relay.http_host import HttpHost
from relay.hub import Hub
from relay.landing import describe, write_landing
from relay.puller import Puller

WATCH_SECONDS: Final = 0.1

_log = logging.getLogger(__name__)


class Daemon:
    """The process that fills a hub's journal."""

    def __init__(self, settings: Settings) -> None:
        """Keep the settings; nothing is opened yet."""
        self._settings = settings
        self.stopping = threading.Event()
        self._threads = Threads()

    def stop(self, *_: object) -> None:
        """Ask the daemon to stop; usable as a signal handler."""
        self.stopping.set()

    def run(self) -> int:
        """Pull until stopped, and return the exit code: 1 when a thread died.

        Raises BadSettingError, HubError, JournalError, AddressError or LockError when it cannot start.
        """
        settings = self._settings
        tokens, token = read_hosts(settings), settings.require_relay_token()
        path = settings.journal_path
        with locked(hub=Path(f"{path}{RELAY}")):
            hub = Hub(Journal(path, settings.journal_sync)).adopt()
            server = Server(settings.relay_http_host, settings.relay_http_port)
            try:
                pullers = [
                    Puller(url, HttpHost(url, tokens[url], settings.relay_ca_file).ask, hub, batch=settings.relay_batch)
                    for url in tokens
                ]
                server.open(self._make_routes(pullers, server, token).answer)
                for puller in pullers:
                    work = partial(puller.run, self.stopping, settings.relay_poll / 1000)
                    self._threads.start(puller.status.url, work)
                self._threads.start("http", partial(server.serve_forever, poll_interval=0.1))
                _log.info("relay is pulling", extra={"http": server.server_address, "hosts": list(tokens)})
                code = self._watch()
                server.shutdown()
                self._threads.join()
            finally:
                server.server_close()
        return code

    def _make_routes(self, pullers: list[Puller], server: Server, token: str | None) -> Routes:
        settings, hosts = self._settings, [puller.status for puller in pullers]

        def check_ready() -> str | None:
            wrong = [f"{host.url}: {describe(host)}" for host in hosts if host.wrong is not None]
            return "; ".join(wrong) or None

        return Routes(
            HostRule(settings.relay_http_host, settings.allowed_hosts),
            make_scrape(RelayCollector(hosts, server.rejections.counts)),
            self._threads.find_dead,
            check_ready,
            write_landing=lambda host: write_landing(hosts, find_links(settings, "Relay", host)),
            token=token,
        )

    def _watch(self) -> int:
        """Return 0 when asked to stop, 1 when a thread has died."""
        while not self.stopping.wait(WATCH_SECONDS):
            if self._threads.find_dead() is not None:
                self.stopping.set()
                return 1
        return 0

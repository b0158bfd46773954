"""Pulling over HTTP: one thread for each host."""

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Final

from common.links import find_links
from relay.collector import RelayCollector, make_scrape
from relay.daemon import Relay, RelayDaemon
from relay.hosts import read_hosts
from relay.http_host import HttpHost
from relay.landing import describe, write_landing
from relay.puller import Puller

POLL_MS: Final = 100
"""How often a host is asked at its journal's end, unless RELAY_POLL says so: each request costs it a millisecond."""


class HttpPull(RelayDaemon):
    """The process that fills a hub's journal from hosts that it can reach."""

    @contextlib.contextmanager
    def opened(self) -> Iterator[Relay]:
        """Open the hub's journal. Raises BadSettingError, HubError, JournalError and LockError."""
        settings = self._settings
        tokens = read_hosts(settings)
        with self.hub_opened() as hub:
            pullers = [
                Puller(url, HttpHost(url, tokens[url], settings.relay_ca_file).ask, hub, batch=settings.relay_batch)
                for url in tokens
            ]
            hosts = [puller.status for puller in pullers]

            def check_ready() -> str | None:
                wrong = [f"{host.url}: {describe(host)}" for host in hosts if host.wrong is not None]
                return "; ".join(wrong) or None

            poll_seconds = (settings.relay_poll or POLL_MS) / 1000
            yield Relay(
                {puller.status.url: partial(puller.run, poll_seconds=poll_seconds) for puller in pullers},
                lambda rejections: make_scrape(RelayCollector(hosts, rejections)),
                check_ready,
                lambda host: write_landing(hosts, find_links(settings, "Relay", host)),
                {"hosts": list(tokens)},
            )

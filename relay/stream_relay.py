"""Relaying over a stream: pushing from a host, pulling into a hub; one thread with an event loop of its own."""

import contextlib
from collections.abc import Iterator

from common.journal.store import Journal
from common.links import find_links
from common.settings import Settings
from relay.access import read_access
from relay.collector import make_scrape
from relay.daemon import Relay, RelayDaemon, check_transport
from relay.journal_executor import JournalExecutor
from relay.landing import write_stream_landing
from relay.pusher import Pusher
from relay.stream_collector import StreamCollector
from relay.stream_puller import StreamPuller
from relay.stream_session import Sessions
from relay.stream_status import Direction, StreamStatus


class StreamPush(RelayDaemon):
    """The process that sends a host's trades to the stream."""

    @contextlib.contextmanager
    def opened(self) -> Iterator[Relay]:
        """Open the host's journal. Raises BadSettingError, HubError and JournalError."""
        settings = self._settings
        check_transport(settings.relay_transport, "nats", "so that retention keeps what was not pushed")
        status = make_status(settings, "push")
        # What is lost of the mark with the power is only a lower floor.
        with Journal(settings.journal_path, "normal") as journal, JournalExecutor() as executor:
            pusher = Pusher(journal, executor, status, settings)
            yield _show(settings, status, Sessions(settings, status, pusher.run, pusher.measure))


class StreamPull(RelayDaemon):
    """The process that fills a hub's journal from the stream."""

    @contextlib.contextmanager
    def opened(self) -> Iterator[Relay]:
        """Open the hub's journal. Raises BadSettingError, HubError, JournalError and LockError."""
        settings = self._settings
        status = make_status(settings, "pull")
        with self.hub_opened() as hub, JournalExecutor() as executor:
            puller = StreamPuller(hub, executor, status, settings)
            yield _show(settings, status, Sessions(settings, status, puller.run))


def make_status(settings: Settings, direction: Direction) -> StreamStatus:
    """Return the status of a broker that was not reached yet. Raises BadSettingError."""
    read_access(settings)
    return StreamStatus(direction, ",".join(settings.relay_nats_url))


def _show(settings: Settings, status: StreamStatus, sessions: Sessions) -> Relay:
    def land(host: str) -> bytes:
        return write_stream_landing(status, find_links(settings, "Relay", host))

    return Relay(
        {status.direction: sessions.run},
        lambda rejections: make_scrape(StreamCollector(status, rejections)),
        status.describe,
        land,
        {"direction": status.direction, "address": status.address, "stream": settings.relay_stream},
    )

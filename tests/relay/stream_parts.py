"""A pusher and a puller in threads of the test, over a real server."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from common.journal.store import Journal
from common.settings import Settings
from relay.hub import Hub
from relay.journal_executor import JournalExecutor
from relay.pusher import Pusher
from relay.stream_puller import StreamPuller
from relay.stream_session import Sessions
from relay.stream_status import StreamStatus
from tests.conftest import append, make_trade
from tests.waiting import wait_for


def add(path: Path, count: int) -> None:
    with Journal(path, "normal") as journal:
        append(journal, [make_trade() for _ in range(count)])


def list_ids(path: Path, host: str | None = None) -> list[str]:
    with Journal(path, "normal") as journal:
        return [event.id for event in journal.read_after(0, 100_000) if host in {None, event.host_journal_id}]


def find_id(path: Path) -> str:
    with Journal(path, "normal") as journal:
        return journal.journal_id


@contextlib.contextmanager
def _running(sessions: Sessions) -> Iterator[None]:
    stopping = threading.Event()
    thread = threading.Thread(target=sessions.run, args=(stopping,))
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(60)
        assert not thread.is_alive()


@contextlib.contextmanager
def pushing(settings: Settings) -> Iterator[StreamStatus]:
    status = StreamStatus("push", "nats://a")
    with Journal(settings.journal_path, "normal") as journal, JournalExecutor() as executor:
        pusher = Pusher(journal, executor, status, settings)
        with _running(Sessions(settings, status, pusher.run, pusher.measure)):
            yield status


@contextlib.contextmanager
def pulling(settings: Settings) -> Iterator[StreamStatus]:
    status = StreamStatus("pull", "nats://a")
    hub = Hub(Journal(settings.journal_path, "normal")).adopt()
    with JournalExecutor() as executor:
        puller = StreamPuller(hub, executor, status, settings)
        with _running(Sessions(settings, status, puller.run)):
            yield status
    hub.close()


def wait_same(host: Path, hub: Path) -> None:
    """Wait until the hub has the trades of a host, and check that they are the same, in order."""
    wanted, journal_id = list_ids(host), find_id(host)
    wait_for(lambda: len(list_ids(hub, journal_id)) >= len(wanted), "all have arrived")
    assert list_ids(hub, journal_id) == wanted

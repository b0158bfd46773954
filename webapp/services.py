"""The services: what the requests of one process share, made once in each process, and where each comes from."""

import os
import threading
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, Final

from flask import Flask, current_app

from common.errors import JournalError
from common.journal.connection import Latch
from common.journal.store import Journal
from common.settings import Settings
from common.wire.transport import Sender
from webapp.alerts import Alerts
from webapp.attempts import Attempts
from webapp.broadcaster import Broadcaster
from webapp.counting import ask_counted
from webapp.credentials import Credentials
from webapp.description import UNLISTED
from webapp.openapi import build_document
from webapp.pipeline import Pipeline
from webapp.pipeline_watch import PipelineWatch
from webapp.positions import Positions
from webapp.publisher import Publisher
from webapp.rate_limit import RateLimit
from webapp.reader import JournalReader
from webapp.readiness import Readiness
from webapp.search import Search
from webapp.sharing import share
from webapp.sidecar import SidecarClient
from webapp.summaries import Summaries
from webapp.symbols import SymbolSearch
from webapp.worker_metrics import Route, WorkerMetrics

DOWNLOADS_LIMIT: Final = 2
"""The most downloads that one worker sends at once."""

SIGN_INS_AT_ONCE: Final = 5
"""How many attempts to sign in an address may send at once."""

HUB_SECONDS: Final = 1.0
"""How long it is not noticed that a journal was made that of a hub; what is written is checked again."""

PASSWORDS_AT_ONCE: Final = 2
"""The most passwords that one worker checks at once."""


class Services:
    """What the requests of one process share; making them opens nothing, each opens what it needs at its first use."""

    def __init__(self, app: Flask) -> None:
        """Make all of them from the settings and the routes of the application."""
        settings: Settings = app.config["SETTINGS"]
        # Shared by all connections to the journal of this process.
        latch = Latch()

        def make_reader(*, throttled: bool = False) -> JournalReader:
            return JournalReader(Journal(settings.journal_path, latch=latch), throttled=throttled)

        self.settings = settings
        self.is_stopping: Callable[[], bool] = lambda: False
        self.metrics = WorkerMetrics(_list_routes(app))
        self.metrics.workers_configured.set(settings.web_concurrency)
        self.publisher = Publisher(
            Journal(settings.journal_path, settings.journal_sync, latch=latch),
            partial(Sender, settings.webapp_zmq_addr),
            self.metrics.observe_commit,
        )
        self.readiness = Readiness(self.publisher.check, settings.journal_path)
        self.reader = make_reader()
        # The master's, which all workers share, when there is one.
        self.attempts = Attempts()
        # Hashing a password takes memory and a core.
        self.password_slots = threading.BoundedSemaphore(PASSWORDS_AT_ONCE)
        self.credentials = Credentials(settings.auth, make_reader(), make_reader())
        # For histories of the feed, downloads, and searches without an index.
        self.bulk_reader = make_reader(throttled=True)
        # A journal that cannot be read is reported by what needs it.
        self.is_hub: Callable[[], bool] = share(partial(_ask_hub, self.reader), HUB_SECONDS, 1)
        self.search = Search(self.reader, self.bulk_reader)
        self.summaries = Summaries(make_reader(), settings.quote_currencies)
        self.symbols = SymbolSearch(self.bulk_reader, settings.quote_currencies)
        self.broadcaster = Broadcaster(
            make_reader(),
            self.metrics,
            settings.feed_max_clients,
            lambda: self.is_stopping(),  # noqa: PLW0108 - a worker sets it when it starts
        )
        sidecar = SidecarClient(settings)
        self.pipeline = Pipeline(self.readiness, self.reader, sidecar, Alerts(settings.prometheus_url))
        self.positions = Positions(sidecar)
        self.ask_counted = partial(ask_counted, sidecar)
        self.pipeline_watch = PipelineWatch(self.pipeline.get)
        # Each worker counts for itself; a proxy in front can count over all of them.
        self.write_limit = RateLimit(settings.writes_per_second, 2 * settings.writes_per_second)
        self.sign_in_limit = RateLimit(settings.sign_ins_per_minute / 60, SIGN_INS_AT_ONCE)
        # Built for the first reader: it takes some time, and most processes never need it.
        self.read_document: Callable[[], dict[str, Any]] = cache(partial(build_document, app))
        self.request_lines = RateLimit(settings.request_lines_per_second, max(1, settings.request_lines_per_second))
        self.download_slots = threading.BoundedSemaphore(DOWNLOADS_LIMIT)
        # Held while a batch is decompressed and read, so that a worker never holds more than one decompressed body.
        self.batch_lock = threading.Lock()

    def close(self) -> None:
        """Close the journal that is written, and the socket after its queue has been sent; may be called twice."""
        self.publisher.close()
        self.attempts.close()


def services(app: Flask = current_app) -> Services:
    """Return the services of this process, for the application of the request or for another one."""
    # By process id: sockets, connections and locks do not survive a fork, and a child must not close its parent's.
    made: dict[int, Services] = app.extensions.setdefault("services", {})
    found = made.get(os.getpid())
    # First requests that come at once may each make them, and all get the same.
    return found or made.setdefault(os.getpid(), Services(app))


def _list_routes(app: Flask) -> Iterator[Route]:
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - UNLISTED):
            yield method, rule.rule


def _ask_hub(reader: JournalReader) -> bool:
    try:
        return reader.ask(Journal.list_hosts) is not None
    except JournalError:
        return False

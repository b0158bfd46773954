"""The feed: accepted trades as server-sent events, from the journal, so across all workers and with nothing between.

Source: HTML standard, 9.2 Server-sent events.
"""

import json
import logging
import socket
import time
from collections.abc import Iterator
from functools import partial
from typing import Final, NamedTuple, cast

import msgspec
from flask import Blueprint, Flask, Response, current_app, request
from werkzeug.exceptions import ServiceUnavailable

from common.errors import JournalError
from common.journal.checkpoint import CheckpointTotals
from common.journal.store import Journal
from common.process import PerProcess
from common.settings import Settings
from common.timestamps import format_timestamp, now
from webapp.broadcaster import CHUNK, Broadcaster, Subscriber, write_trade
from webapp.input.query import read_feed
from webapp.reader import JournalReader
from webapp.worker_metrics import WorkerMetrics

HEARTBEAT_SECONDS: Final = 2.0
"""Between two heartbeats: a page that receives nothing for longer knows that its line is dead."""

RETRY_MS: Final = 1000
SEND_BYTES: Final = 128 * 1024

bp = Blueprint("feed", __name__)

_log = logging.getLogger(__name__)


def stream(
    broadcaster: Broadcaster, history: JournalReader, subscriber: Subscriber, after: int | None, symbol: str | None
) -> Iterator[bytes]:
    """Give a subscriber the trades past ``after``, first those in the journal, then each as it comes.

    None: from now on. It ends when the journal cannot be read; its client comes back by itself.
    """
    try:
        yield b"retry: %d\n\n" % RETRY_MS
        if broadcaster.is_stopping():
            # Another worker has the feed; the browser comes back by itself.
            return
        last_seq = history.last_seq()
        yield _write_heartbeat(last_seq)
        if after is None:
            after = last_seq
        elif after > last_seq:
            # The journal was restored or replaced: the client's place is of another one.
            yield b"id: %d\nevent: reset\ndata: {}\n\n" % last_seq
            after = last_seq
        yield from _follow(broadcaster, history, subscriber, after, symbol)
    except JournalError as error:
        _log.error("feed ended", extra={"reason": error.reason, "detail": error.detail})
    finally:
        broadcaster.leave(subscriber)


def _follow(
    broadcaster: Broadcaster, history: JournalReader, subscriber: Subscriber, after: int, symbol: str | None
) -> Iterator[bytes]:
    # Each trade up to ``after`` was sent or was not asked for; only what a read has seen moves it on.
    beat_at = time.monotonic() + HEARTBEAT_SECONDS
    while True:
        # First of all: whatever comes after this wakes the feed again.
        subscriber.news.clear()
        if subscriber.ended:
            return
        recent = broadcaster.read_after(after)
        if recent is None:
            part = history.ask(partial(_read_history, after=after, symbol=symbol))
            if part.pruned_seq > after:
                yield b"id: %d\nevent: pruned\ndata: {}\n\n" % part.pruned_seq
            after, wanted = part.last_seq, part.texts
        elif recent:
            after, wanted = recent[-1].seq, [each.text for each in recent if symbol in (None, each.symbol)]
        else:
            wanted = []
            subscriber.news.wait(max(0.0, beat_at - time.monotonic()))
        if wanted:
            yield b"".join(wanted)
        if time.monotonic() >= beat_at:
            beat_at = time.monotonic() + HEARTBEAT_SECONDS
            # While the journal cannot be read the line must not look alive.
            if not broadcaster.failing:
                yield _write_heartbeat(broadcaster.last_seq)


class _Part(NamedTuple):
    """A part of history: all that was asked for up to ``last_seq``, but for what was pruned."""

    last_seq: int
    pruned_seq: int
    texts: list[bytes]


def _read_history(journal: Journal, after: int, symbol: str | None) -> _Part:
    with journal.read_transaction():
        last_seq = journal.last_seq()
        pruned_seq = _read_pruned_seq(journal)
        events = journal.select(limit=CHUNK, after=after, symbol=symbol)
    # A chunk that is not full is all there was at that moment, up to the last seq.
    seen = events[-1].seq if len(events) == CHUNK else max(after, last_seq)
    return _Part(seen, pruned_seq, [write_trade(event).text for event in events])


def _write_heartbeat(last_seq: int) -> bytes:
    pulse = json.dumps({"last_seq": last_seq, "at": format_timestamp(now())})
    return b": still here\nevent: heartbeat\ndata: %b\n\n" % pulse.encode()


def _read_pruned_seq(journal: Journal) -> int:
    base = journal.read_checkpoint()
    return 0 if base is None else msgspec.json.decode(base, type=CheckpointTotals).last_seq


@bp.get("/feed")
def stream_trades() -> Response:
    """Stream accepted trades: those past ``Last-Event-ID`` or ``after``, or from now on without either."""
    wanted = read_feed(request.args, request.headers.get("Last-Event-ID"))
    feeds = cast("PerProcess[Feeds]", current_app.extensions["feeds"]).get()
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        # What the kernel keeps for a client is bounded too.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
    subscriber = feeds.broadcaster.join()
    if subscriber is None:
        settings: Settings = current_app.config["SETTINGS"]
        raise ServiceUnavailable(f"This worker has {settings.feed_max_clients} viewers, as many as it takes")
    body = stream(feeds.broadcaster, feeds.history, subscriber, wanted["after"], wanted["symbol"])
    response = Response(body, content_type="text/event-stream; charset=utf-8")
    # Between here and the browser nothing may keep, gather or pack what is sent.
    response.headers["Cache-Control"] = "no-cache, no-transform"
    response.headers["X-Accel-Buffering"] = "no"
    # A generator that was never begun would not let its subscriber go.
    response.call_on_close(partial(feeds.broadcaster.leave, subscriber))
    return response


class Feeds(NamedTuple):
    """What the feeds of one worker share; long histories are read apart from what is live."""

    broadcaster: Broadcaster
    history: JournalReader


def init_app(app: Flask) -> None:
    """Give each worker its own broadcaster."""
    settings: Settings = app.config["SETTINGS"]
    measures = cast("PerProcess[WorkerMetrics]", app.extensions["measures"])
    app.extensions["is_stopping"] = lambda: False
    bulk = cast("PerProcess[JournalReader]", app.extensions["bulk_ledger"])

    def make() -> Feeds:
        live = JournalReader(partial(Journal, settings.journal_path), app.extensions["latch"])
        broadcaster = Broadcaster(live, measures.get(), settings.feed_max_clients, app.extensions["is_stopping"])
        return Feeds(broadcaster, bulk.get())

    app.extensions["feeds"] = PerProcess(make)

"""The feed: accepted trades as server-sent events, read from the journal and so those of all workers.

Source: HTML standard, 9.2 Server-sent events.
"""

import contextlib
import json
import logging
import socket
import time
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Final, NamedTuple

from flask import Blueprint, Response, request
from werkzeug.exceptions import ServiceUnavailable

from common.credentials import READ
from common.errors import JournalError
from common.event import Seq
from common.journal.store import Journal
from common.timestamps import format_timestamp, now
from webapp.broadcaster import CHUNK, Broadcaster, Subscriber, Texts, encode_trade
from webapp.description import Answer, Content, Description, Parameter
from webapp.input.query import FeedSchema, read_feed
from webapp.middleware.auth import needs, watch_caller
from webapp.pipeline_watch import PipelineWatch
from webapp.reader import JournalReader
from webapp.reasons import QUERY
from webapp.services import services

HEARTBEAT_SECONDS: Final = 2.0
"""Time between two heartbeats: a client that receives nothing for much longer has lost its connection."""

RETRY_MS: Final = 1000
SEND_BYTES: Final = 128 * 1024

bp = Blueprint("feed", __name__)

_log = logging.getLogger(__name__)


class Sources(NamedTuple):
    """What the feeds of one worker read; histories have a reader of their own."""

    broadcaster: Broadcaster
    history: JournalReader
    pipeline: PipelineWatch


def stream(sources: Sources, subscriber: Subscriber, after: int | None, symbol: str | None) -> Generator[bytes]:
    """Yield the trades after ``after``, first those in the journal, then new ones; None starts with the next trade.

    The newest state of the pipeline comes with each heartbeat. Ends when the journal cannot be read; the client
    reconnects by itself.
    """
    broadcaster, history, pipeline = sources
    try:
        yield b"retry: %d\n\n" % RETRY_MS
        if broadcaster.is_stopping():
            # The browser reconnects by itself, to another worker.
            return
        last_seq = history.last_seq()
        yield _write_heartbeat(last_seq) + pipeline.read()
        if after is None:
            after = last_seq
        elif after > last_seq:
            # The journal was restored or replaced: ``after`` is a seq of another journal.
            yield b"id: %d\nevent: reset\ndata: {}\n\n" % last_seq
            after = last_seq
        yield from _follow(sources, subscriber, after, symbol)
    except JournalError as error:
        _log.error("feed ended", extra={"reason": error.reason, "detail": error.detail})
    finally:
        broadcaster.leave(subscriber)


def _follow(sources: Sources, subscriber: Subscriber, after: int, symbol: str | None) -> Iterator[bytes]:
    broadcaster, history, pipeline = sources
    # Each trade up to ``after`` was sent or filtered out; it advances only over what was read.
    beat_at = time.monotonic() + HEARTBEAT_SECONDS
    while True:
        # Cleared before reading, so that a trade that arrives during the read wakes the feed again.
        subscriber.wake.clear()
        if subscriber.ended:
            return
        recent = broadcaster.read_after(after, symbol)
        if recent is None:
            page = history.ask(partial(_read_history, after=after, symbol=symbol))
            if page.pruned_seq > after:
                yield b"id: %d\nevent: pruned\ndata: {}\n\n" % page.pruned_seq
            recent = page.texts
        elif recent.last_seq == after:
            subscriber.wake.wait(max(0.0, beat_at - time.monotonic()))
        after = recent.last_seq
        if recent.text:
            yield recent.text
        if time.monotonic() >= beat_at:
            beat_at = time.monotonic() + HEARTBEAT_SECONDS
            # No heartbeat while the journal cannot be read: the feed must not look alive.
            if not broadcaster.failing:
                yield _write_heartbeat(broadcaster.last_seq) + pipeline.read()


class _Page(NamedTuple):
    """A page of history: the matching trades, except those pruned."""

    pruned_seq: int
    texts: Texts


def _read_history(journal: Journal, after: int, symbol: str | None) -> _Page:
    with journal.read_transaction():
        last_seq = journal.last_seq()
        pruned_seq = journal.pruned_seq()
        events = journal.select(limit=CHUNK, after=after, symbol=symbol)
    # A chunk that is not full reaches the last seq.
    seen = events[-1].seq if len(events) == CHUNK else max(after, last_seq)
    return _Page(pruned_seq, Texts(seen, b"".join(encode_trade(event).text for event in events)))


def _write_heartbeat(last_seq: int) -> bytes:
    data = json.dumps({"last_seq": last_seq, "at": format_timestamp(now())})
    return b": still here\nevent: heartbeat\ndata: %b\n\n" % data.encode()


def _end_with(may_go_on: Callable[[], bool], chunks: Generator[bytes]) -> Iterator[bytes]:
    """Yield the chunks until the caller's credential is no longer valid."""
    with contextlib.closing(chunks):
        for chunk in chunks:
            if not may_go_on():
                return
            yield chunk


@bp.get("/feed")
@needs(READ)
@Description(
    query=FeedSchema,
    headers=(Parameter("Last-Event-ID", "Continue after this seq; replaces `after`", "42", Seq),),
    answers={
        200: Answer(
            "Events, each with the JSON of a trade, until the client leaves",
            (Content("text/event-stream", str, 'id: 42\nevent: trade\ndata: {"seq":42,"symbol":"BTCUSDT"}\n\n'),),
        )
    },
    problems=(*QUERY, "service_unavailable"),
)
def stream_trades() -> Response:
    """Stream accepted trades: those after ``Last-Event-ID`` or ``after``; without either, new ones only."""
    wanted = read_feed(request.args, request.headers.get("Last-Event-ID"))
    mine = services()
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        # Bound what the kernel buffers for a client.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
    subscriber = mine.broadcaster.join()
    if subscriber is None:
        raise ServiceUnavailable(f"This worker has {mine.settings.feed_max_clients} subscribers, its limit")
    sources = Sources(mine.broadcaster, mine.bulk_reader, mine.pipeline_watch)
    trades = stream(sources, subscriber, wanted["after"], wanted["symbol"])
    response = Response(_end_with(watch_caller(READ), trades), content_type="text/event-stream; charset=utf-8")
    # Disable caches, compression and proxy buffering.
    response.headers["Cache-Control"] = "no-cache, no-transform"
    response.headers["X-Accel-Buffering"] = "no"
    # The ``finally`` of a generator that was never started does not run.
    response.call_on_close(partial(mine.broadcaster.leave, subscriber))
    return response

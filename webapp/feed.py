"""The feed: accepted trades as server-sent events, from the journal, so across all workers and with nothing between.

Source: HTML standard, 9.2 Server-sent events.
"""

import json
import queue
import socket
import time
from collections.abc import Iterator
from functools import partial
from typing import Final, cast

import msgspec
from flask import Blueprint, Flask, Response, current_app, request
from werkzeug.exceptions import ServiceUnavailable

from tape.event import now, write_instant
from tape.journal import Journal
from tape.process import PerProcess
from tape.settings import Settings
from tape.tally import PrunedTotals
from webapp.ledger import Ledger
from webapp.loop import cut
from webapp.measures import Measures
from webapp.queries import read_feed
from webapp.tail import CHUNK, Tail, Viewer, write_trade

PULSE_SECONDS: Final = 2.0
"""At most this long nothing is sent; a page that hears nothing for longer knows that its line is dead."""

RETRY_MS: Final = 1000
SEND_BYTES: Final = 128 * 1024

bp = Blueprint("feed", __name__)


def stream(tail: Tail, viewer: Viewer, after: int | None, symbol: str | None) -> Iterator[bytes]:
    """Give a viewer the trades past ``after``, first those that stand in the journal, then each as it comes.

    None: from now on. Raises JournalError.
    """
    try:
        yield b"retry: %d\n\n" % RETRY_MS
        if tail.is_stopping():
            # Another worker has the feed; the browser comes back by itself.
            return
        last_seq = tail.ledger.last_seq()
        yield _write_pulse(last_seq)
        if after is None:
            after = tail.follow(viewer)
        elif after > last_seq:
            # The journal was restored or replaced: the viewer's place is of another tape.
            yield b"id: %d\nevent: reset\ndata: {}\n\n" % last_seq
            after = last_seq
        else:
            pruned = tail.ledger.ask(_read_pruned_seq)
            if after < pruned:
                yield b"id: %d\nevent: pruned\ndata: {}\n\n" % pruned
        # The past is read at the viewer's own pace; it follows only when it is nearly there.
        while not viewer.follows:
            events = tail.ledger.select(limit=CHUNK, after=after, symbol=symbol)
            if events:
                yield b"".join(write_trade(event).message for event in events)
                after = events[-1].seq
            if len(events) < CHUNK:
                upto = tail.follow(viewer)
                between = tail.ledger.select(limit=2 * CHUNK, after=after, before=upto + 1, symbol=symbol)
                if between:
                    yield b"".join(write_trade(event).message for event in between)
                after = max(after, upto)
        yield from _follow(tail, viewer, after, symbol)
    finally:
        tail.leave(viewer)


def _follow(tail: Tail, viewer: Viewer, after: int, symbol: str | None) -> Iterator[bytes]:
    said = time.monotonic()
    while True:
        try:
            chunk = viewer.chunks.get(timeout=max(0.01, said + PULSE_SECONDS - time.monotonic()))
        except queue.Empty:
            chunk = []
        if chunk is None:
            return
        wanted = [item.message for item in chunk if item.seq > after and symbol in (None, item.symbol)]
        if wanted:
            yield b"".join(wanted)
        elif time.monotonic() < said + PULSE_SECONDS:
            continue
        elif not tail.failing:
            # While the journal cannot be read nobody may think that the line is alive.
            yield _write_pulse(tail.last_seq)
        said = time.monotonic()


def _write_pulse(last_seq: int) -> bytes:
    pulse = json.dumps({"last_seq": last_seq, "at": write_instant(now())})
    return b": still here\nevent: pulse\ndata: %b\n\n" % pulse.encode()


def _read_pruned_seq(journal: Journal) -> int:
    base = journal.read_base()
    return 0 if base is None else msgspec.json.decode(base, type=PrunedTotals).last_seq


@bp.get("/feed")
def stream_trades() -> Response:
    """Stream accepted trades: those past ``Last-Event-ID`` or ``after``, or from now on without either."""
    wanted = read_feed(request.args, request.headers.get("Last-Event-ID"))
    tail = cast("PerProcess[Tail]", current_app.extensions["tail"]).get()
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        # What the kernel keeps for a viewer is bounded too.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
    viewer = tail.join(partial(cut, connection) if connection is not None else lambda: None)
    if viewer is None:
        settings: Settings = current_app.config["SETTINGS"]
        raise ServiceUnavailable(f"This worker has {settings.feed_max_clients} viewers, as many as it takes")
    body = stream(tail, viewer, wanted["after"], wanted["symbol"])
    response = Response(body, content_type="text/event-stream; charset=utf-8")
    # Between here and the browser nobody may keep, gather or pack what is sent.
    response.headers["Cache-Control"] = "no-cache, no-transform"
    response.headers["X-Accel-Buffering"] = "no"
    # A generator that was never begun would not let its viewer go.
    response.call_on_close(partial(tail.leave, viewer))
    return response


def init_app(app: Flask) -> None:
    """Give each worker its own tail."""
    settings: Settings = app.config["SETTINGS"]
    measures = cast("PerProcess[Measures]", app.extensions["measures"])
    app.extensions["is_stopping"] = lambda: False
    # A ledger of its own: a long look-up must not hold up what is live.
    app.extensions["tail"] = PerProcess(
        lambda: Tail(
            Ledger(partial(Journal, settings.journal_path)),
            measures.get(),
            settings.feed_max_clients,
            app.extensions["is_stopping"],
        )
    )

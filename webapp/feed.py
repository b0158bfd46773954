"""The feed: accepted trades as server-sent events, from the journal, so across all workers and with nothing between.

Each worker that has viewers reads the journal once for all of them. Source: HTML standard, 9.2 Server-sent events.
"""

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, cast

from flask import Blueprint, Flask, Response, current_app, request
from werkzeug.exceptions import ServiceUnavailable

from tape import wire
from tape.errors import JournalError
from tape.event import Event, now, write_instant
from tape.process import PerProcess
from tape.settings import Settings
from webapp.ledger import Ledger
from webapp.loop import start
from webapp.measures import Measures, current_measures
from webapp.queries import read_feed

POLL_SECONDS: Final = 0.05
PULSE_SECONDS: Final = 2.0
"""At most this long nothing is sent; a page that hears nothing for longer knows that its line is dead."""

CHUNK: Final = 500
QUEUE_LIMIT: Final = 64
"""Chunks that wait for one viewer; one that is further behind is dropped, and comes back where it was by itself."""

RETRY_MS: Final = 1000

bp = Blueprint("feed", __name__)
_log = logging.getLogger(__name__)


class Item(NamedTuple):
    """One trade as it is sent: encoded once for all viewers."""

    seq: int
    symbol: str
    message: bytes


class Viewer:
    """One open feed: its chunks wait in a bounded queue; None ends it."""

    def __init__(self, joined_at: int) -> None:
        """Everything past ``joined_at`` will come through the queue."""
        self.joined_at = joined_at
        self.chunks: queue.Queue[list[Item] | None] = queue.Queue(QUEUE_LIMIT)
        self.dropped = threading.Event()


class Feed:
    """One reader of the journal for all viewers of this worker; it reads only while there are any."""

    def __init__(self, ledger: Ledger, measures: Measures, limit: int, is_stopping: Callable[[], bool]) -> None:
        """Keep the ledger to read from; ``limit`` is how many viewers there may be."""
        self._ledger = ledger
        self._measures = measures
        self._limit = limit
        self._is_stopping = is_stopping
        self._lock = threading.Lock()
        self._viewers: set[Viewer] = set()
        self._reading = False
        self.last_seq = 0

    def join(self) -> Viewer | None:
        """Let a viewer in; None when there are too many, or the worker is stopping. Raises JournalError."""
        last_seq = self._ledger.last_seq()
        with self._lock:
            if len(self._viewers) >= self._limit or self._is_stopping():
                return None
            if not self._reading:
                self._reading, self.last_seq = True, last_seq
                start(self._read)
            viewer = Viewer(self.last_seq)
            self._viewers.add(viewer)
            self._measures.set_viewers(len(self._viewers))
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Let a viewer go."""
        with self._lock:
            self._viewers.discard(viewer)
            self._measures.set_viewers(len(self._viewers))

    def _read(self) -> None:
        """Read on until there is no viewer, or the worker stops."""
        while True:
            with self._lock:
                if self._is_stopping():
                    for viewer in list(self._viewers):
                        self._end(viewer)
                if not self._viewers:
                    self._reading = False
                    return
            try:
                events = self._ledger.select(limit=CHUNK, after=self.last_seq)
            except JournalError as error:
                _log.error("feed cannot read", extra={"reason": error.reason, "detail": error.detail})
                time.sleep(PULSE_SECONDS)
                continue
            self._hand_out(events)
            if len(events) < CHUNK:
                time.sleep(POLL_SECONDS)

    def _hand_out(self, events: list[Event]) -> None:
        if not events:
            return
        chunk = [write_trade(event) for event in events]
        with self._lock:
            self.last_seq = events[-1].seq
            for viewer in list(self._viewers):
                try:
                    viewer.chunks.put_nowait(chunk)
                except queue.Full:
                    viewer.dropped.set()
                    self._end(viewer)
                    self._measures.count_drop("slow")
                    _log.warning("viewer dropped", extra={"reason": "slow", "seq": self.last_seq})

    def _end(self, viewer: Viewer) -> None:
        self._viewers.discard(viewer)
        # What still waits would only keep it: it asks again from where it was.
        while not viewer.chunks.empty():
            viewer.chunks.get_nowait()
        viewer.chunks.put_nowait(None)

    def stream(self, viewer: Viewer, after: int, symbol: str | None) -> Iterator[bytes]:
        """Give a viewer the trades past ``after``, first those that stand in the journal, then each as it comes."""
        try:
            yield b"retry: %d\n\n" % RETRY_MS
            yield self._write_pulse()
            while after < viewer.joined_at and not viewer.dropped.is_set() and not self._is_stopping():
                events = self._ledger.select(limit=CHUNK, after=after, symbol=symbol)
                events = [event for event in events if event.seq <= viewer.joined_at]
                if not events:
                    break
                yield b"".join(write_trade(event).message for event in events)
                after = events[-1].seq
            after = max(after, viewer.joined_at)
            while True:
                try:
                    chunk = viewer.chunks.get(timeout=PULSE_SECONDS)
                except queue.Empty:
                    yield self._write_pulse()
                    continue
                if chunk is None:
                    return
                wanted = [item.message for item in chunk if item.seq > after and symbol in (None, item.symbol)]
                if wanted:
                    yield b"".join(wanted)
        finally:
            self.leave(viewer)

    def _write_pulse(self) -> bytes:
        pulse = json.dumps({"last_seq": self.last_seq, "at": write_instant(now())})
        return b": still here\nevent: pulse\ndata: %b\n\n" % pulse.encode()


def write_trade(event: Event) -> Item:
    """Write one trade as a server-sent event, whose id is its seq."""
    return Item(event.seq, event.symbol, b"id: %d\nevent: trade\ndata: %b\n\n" % (event.seq, wire.encode(event)))


@bp.get("/feed")
def stream_trades() -> Response:
    """Stream accepted trades: those past ``Last-Event-ID`` or ``after``, or from now on without either."""
    wanted = read_feed(request.args, request.headers.get("Last-Event-ID"))
    feed = cast("PerProcess[Feed]", current_app.extensions["feed"]).get()
    viewer = feed.join()
    if viewer is None:
        settings: Settings = current_app.config["SETTINGS"]
        current_measures().count_drop("full")
        raise ServiceUnavailable(f"This worker has {settings.feed_max_clients} viewers, as many as it takes")
    after = viewer.joined_at if wanted["after"] is None else wanted["after"]
    response = Response(feed.stream(viewer, after, wanted["symbol"]), content_type="text/event-stream; charset=utf-8")
    # Between here and the browser nobody may keep, gather or pack what is sent.
    response.headers["Cache-Control"] = "no-cache, no-transform"
    response.headers["X-Accel-Buffering"] = "no"
    # A generator that was never begun would not let its viewer go.
    response.call_on_close(lambda: feed.leave(viewer))
    return response


def init_app(app: Flask) -> None:
    """Give each worker its own feed."""
    settings: Settings = app.config["SETTINGS"]
    ledger = cast("PerProcess[Ledger]", app.extensions["ledger"])
    measures = cast("PerProcess[Measures]", app.extensions["measures"])
    app.extensions["is_stopping"] = lambda: False
    app.extensions["feed"] = PerProcess(
        lambda: Feed(ledger.get(), measures.get(), settings.feed_max_clients, app.extensions["is_stopping"])
    )

"""The tail: what was accepted a moment ago, read once for all viewers of this worker."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from tape import wire
from tape.errors import JournalError
from tape.event import Event
from webapp.ledger import Ledger
from webapp.loop import start
from webapp.measures import Measures

POLL_SECONDS: Final = 0.05
AWAY_SECONDS: Final = 1.0
CHUNK: Final = 500
QUEUE_LIMIT: Final = 64
"""Chunks that wait for one viewer; one that is further behind is dropped, and comes back where it was by itself."""

_log = logging.getLogger(__name__)


class Item(NamedTuple):
    """One trade as it is sent: encoded once for all viewers."""

    seq: int
    symbol: str
    message: bytes


def write_trade(event: Event) -> Item:
    """Write one trade as a server-sent event, whose id is its seq."""
    return Item(event.seq, event.symbol, b"id: %d\nevent: trade\ndata: %b\n\n" % (event.seq, wire.encode(event)))


class Viewer:
    """One open feed: once it follows, its chunks wait in a bounded queue; None ends it."""

    def __init__(self, cut: Callable[[], None]) -> None:
        """Keep how to cut its connection, should it be too slow to take even an end."""
        self.cut = cut
        self.follows = False
        self.chunks: queue.Queue[list[Item] | None] = queue.Queue(QUEUE_LIMIT + 1)

    def end(self) -> None:
        """Let the feed end: what still waits would only keep it, for it asks again from where it was."""
        while not self.chunks.empty():
            self.chunks.get_nowait()
        self.chunks.put_nowait(None)


class Tail:
    """One reader of the journal for all viewers; it reads only while there are any."""

    def __init__(self, ledger: Ledger, measures: Measures, limit: int, is_stopping: Callable[[], bool]) -> None:
        """Keep the ledger to read from; ``limit`` is how many viewers there may be."""
        self.ledger = ledger
        self.is_stopping = is_stopping
        self.last_seq = 0
        self.failing = False
        self._measures = measures
        self._limit = limit
        self._lock = threading.Lock()
        self._viewers: set[Viewer] = set()
        self._reading = False

    def join(self, cut: Callable[[], None] = lambda: None) -> Viewer | None:
        """Let a viewer in; None when there are too many. Raises JournalError."""
        last_seq = self.ledger.last_seq()
        with self._lock:
            if len(self._viewers) >= self._limit:
                self._measures.count_drop("full")
                return None
            if not self._reading:
                self._reading, self.last_seq = True, last_seq
                start(self._read)
            viewer = Viewer(cut)
            self._viewers.add(viewer)
            self._measures.set_viewers(len(self._viewers))
        return viewer

    def follow(self, viewer: Viewer) -> int:
        """Let a viewer have everything past the seq that this gives, chunk by chunk."""
        with self._lock:
            viewer.follows = True
            return self.last_seq

    def leave(self, viewer: Viewer) -> None:
        """Let a viewer go; it may have gone already."""
        with self._lock:
            self._viewers.discard(viewer)
            self._measures.set_viewers(len(self._viewers))

    def _read(self) -> None:
        """Read on until there is no viewer, or the worker stops."""
        while True:
            if self.is_stopping():
                self._end_all()
            with self._lock:
                if not self._viewers:
                    self._reading = False
                    return
            try:
                if self.failing and self.ledger.last_seq() < self.last_seq:
                    # Another journal stands in its place: who comes back is told so.
                    self._end_all()
                    continue
                events = self.ledger.select(limit=CHUNK, after=self.last_seq)
            except JournalError as error:
                if not self.failing:
                    _log.error("feed cannot read", extra={"reason": error.reason, "detail": error.detail})
                self.failing = True
                time.sleep(AWAY_SECONDS)
                continue
            self.failing = False
            if events:
                self._hand_out(events)
            if len(events) < CHUNK:
                time.sleep(POLL_SECONDS)

    def _end_all(self) -> None:
        with self._lock:
            for viewer in self._viewers:
                viewer.end()
            self._viewers.clear()

    def _hand_out(self, events: list[Event]) -> None:
        chunk = [write_trade(event) for event in events]
        slow: list[Viewer] = []
        with self._lock:
            self.last_seq = events[-1].seq
            for viewer in self._viewers:
                if not viewer.follows:
                    continue
                if viewer.chunks.qsize() >= QUEUE_LIMIT:
                    slow.append(viewer)
                else:
                    viewer.chunks.put_nowait(chunk)
        for viewer in slow:
            self.leave(viewer)
            viewer.end()
            viewer.cut()
            self._measures.count_drop("slow")
            _log.warning("viewer dropped", extra={"reason": "slow", "seq": self.last_seq})

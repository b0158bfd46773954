"""The broadcaster: what was accepted a moment ago, read once for all subscribers of this worker."""

import logging
import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from operator import attrgetter
from typing import Final, NamedTuple

from common.errors import JournalError
from common.event import Event
from common.wire import messages
from webapp.concurrency import spawn
from webapp.reader import JournalReader
from webapp.worker_metrics import WorkerMetrics

POLL_SECONDS: Final = 0.05
AWAY_SECONDS: Final = 1.0
CHUNK: Final = 500

RECENT_LIMIT: Final = 2000
"""Trades that are kept at least; a subscriber that is further behind reads the journal at its own pace."""

_log = logging.getLogger(__name__)


class Message(NamedTuple):
    """One trade as it is sent: encoded once for all subscribers."""

    seq: int
    symbol: str
    text: bytes


def write_trade(event: Event) -> Message:
    """Write one trade as a server-sent event, whose id is its seq."""
    return Message(event.seq, event.symbol, b"id: %d\nevent: trade\ndata: %b\n\n" % (event.seq, messages.encode(event)))


class Subscriber:
    """One open feed: ``news`` is set when there may be more for it, ``ended`` when there will be none."""

    def __init__(self) -> None:
        """Begin with nothing to send."""
        self.news = threading.Event()
        self.ended = False

    def end(self) -> None:
        """Let the feed end; its client asks again from where it was."""
        self.ended = True
        self.news.set()


class Broadcaster:
    """Keeps every trade past some seq at hand, up to ``last_seq``; it reads only while there are subscribers."""

    def __init__(
        self, ledger: JournalReader, measures: WorkerMetrics, limit: int, is_stopping: Callable[[], bool]
    ) -> None:
        """Keep the ledger to read from; ``limit`` is how many subscribers there may be."""
        self.is_stopping = is_stopping
        self.last_seq = 0
        self.failing = False
        self._ledger = ledger
        self._measures = measures
        self._limit = limit
        self._lock = threading.Lock()
        self._subscribers: set[Subscriber] = set()
        self._reading = False
        self._first_after = 0
        self._recent: list[Message] = []

    def join(self) -> Subscriber | None:
        """Add a subscriber; None when there are too many. Raises JournalError."""
        last_seq = self._ledger.last_seq()
        with self._lock:
            if len(self._subscribers) >= self._limit:
                self._measures.count_drop("full")
                return None
            if not self._reading:
                self._reading, self._recent = True, []
                self._first_after = self.last_seq = last_seq
                spawn(self._read)
            subscriber = Subscriber()
            self._subscribers.add(subscriber)
            self._measures.set_subscribers(len(self._subscribers))
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Remove a subscriber, if it has not been removed before."""
        with self._lock:
            self._subscribers.discard(subscriber)
            self._measures.set_subscribers(len(self._subscribers))

    def read_after(self, seq: int) -> list[Message] | None:
        """Give the next trades past a seq, at most CHUNK; None when not all of them are at hand any more."""
        with self._lock:
            if seq < self._first_after:
                return None
            first = bisect_right(self._recent, seq, key=attrgetter("seq"))
            return self._recent[first : first + CHUNK]

    def _read(self) -> None:
        """Read on until there is no subscriber, or the worker stops."""
        while True:
            if self.is_stopping():
                self._end_all()
            with self._lock:
                if not self._subscribers:
                    self._reading = False
                    return
            try:
                if self.failing and self._ledger.last_seq() < self.last_seq:
                    # Another journal stands in its place: who comes back is told so.
                    self._end_all()
                    continue
                events = self._ledger.select(limit=CHUNK, after=self.last_seq)
            except JournalError as error:
                if not self.failing:
                    _log.error("feed cannot read", extra={"reason": error.reason, "detail": error.detail})
                self.failing = True
                time.sleep(AWAY_SECONDS)
                continue
            self.failing = False
            if events:
                self._publish(events)
            if len(events) < CHUNK:
                time.sleep(POLL_SECONDS)

    def _end_all(self) -> None:
        with self._lock:
            for subscriber in self._subscribers:
                subscriber.end()
            self._subscribers.clear()

    def _publish(self, events: list[Event]) -> None:
        messages = [write_trade(event) for event in events]
        with self._lock:
            self._recent += messages
            self.last_seq = messages[-1].seq
            # Not for each trade: what is taken off a list's beginning moves all the rest.
            if len(self._recent) > 2 * RECENT_LIMIT:
                self._first_after = self._recent[-RECENT_LIMIT - 1].seq
                del self._recent[:-RECENT_LIMIT]
            for subscriber in self._subscribers:
                subscriber.news.set()

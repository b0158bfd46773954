"""The broadcaster: reads newly accepted trades once for all subscribers of this worker."""

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
RETRY_SECONDS: Final = 1.0
CHUNK: Final = 500

RECENT_LIMIT: Final = 2000
"""The fewest trades kept in memory; a subscriber that is further behind reads the journal at its own pace."""

_log = logging.getLogger(__name__)


class Message(NamedTuple):
    """One trade, encoded once for all subscribers."""

    seq: int
    symbol: str
    text: bytes


def encode_trade(event: Event) -> Message:
    """Encode one trade as a server-sent event whose id is its seq."""
    return Message(event.seq, event.symbol, b"id: %d\nevent: trade\ndata: %b\n\n" % (event.seq, messages.encode(event)))


class Subscriber:
    """One open feed: ``wake`` is set when there may be more to send, ``ended`` when there will be no more."""

    def __init__(self) -> None:
        """Start with both unset."""
        self.wake = threading.Event()
        self.ended = False

    def end(self) -> None:
        """End the feed; its client reconnects with the id of the last event."""
        self.ended = True
        self.wake.set()


class Broadcaster:
    """Keeps all trades after some seq, up to ``last_seq``, in memory; reads only while there are subscribers."""

    def __init__(
        self, reader: JournalReader, metrics: WorkerMetrics, limit: int, is_stopping: Callable[[], bool]
    ) -> None:
        """Keep the reader; ``limit`` is the highest number of subscribers."""
        self.is_stopping = is_stopping
        self.last_seq = 0
        self.failing = False
        self._reader = reader
        self._metrics = metrics
        self._limit = limit
        self._lock = threading.Lock()
        self._subscribers: set[Subscriber] = set()
        self._reading = False
        self._first_after = 0
        self._recent: list[Message] = []

    def join(self) -> Subscriber | None:
        """Add a subscriber and return it; None when the limit is reached. Raises JournalError."""
        last_seq = self._reader.last_seq()
        with self._lock:
            if len(self._subscribers) >= self._limit:
                self._metrics.feed_drops.labels("full").inc()
                return None
            if not self._reading:
                self._reading, self._recent = True, []
                self._first_after = self.last_seq = last_seq
                spawn(self._read)
            subscriber = Subscriber()
            self._subscribers.add(subscriber)
            self._metrics.feed_subscribers.set(len(self._subscribers))
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Remove a subscriber; may be called twice."""
        with self._lock:
            self._subscribers.discard(subscriber)
            self._metrics.feed_subscribers.set(len(self._subscribers))

    def read_after(self, seq: int) -> list[Message] | None:
        """Return the next trades after a seq, at most CHUNK; None when some of them are no longer in memory."""
        with self._lock:
            if seq < self._first_after:
                return None
            first = bisect_right(self._recent, seq, key=attrgetter("seq"))
            return self._recent[first : first + CHUNK]

    def _read(self) -> None:
        """Read until there is no subscriber, or the worker stops."""
        while True:
            if self.is_stopping():
                self._end_all()
            with self._lock:
                if not self._subscribers:
                    self._reading = False
                    return
            try:
                if self.failing and self._reader.last_seq() < self.last_seq:
                    # The journal was restored or replaced: clients that reconnect receive a reset event.
                    self._end_all()
                    continue
                events = self._reader.select(limit=CHUNK, after=self.last_seq)
            except JournalError as error:
                if not self.failing:
                    _log.error("feed cannot read", extra={"reason": error.reason, "detail": error.detail})
                self.failing = True
                time.sleep(RETRY_SECONDS)
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
        new = [encode_trade(event) for event in events]
        with self._lock:
            self._recent += new
            self.last_seq = new[-1].seq
            # Not for each trade: deleting the head of a list moves all the rest.
            if len(self._recent) > 2 * RECENT_LIMIT:
                self._first_after = self._recent[-RECENT_LIMIT - 1].seq
                del self._recent[:-RECENT_LIMIT]
            for subscriber in self._subscribers:
                subscriber.wake.set()

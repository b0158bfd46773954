"""The broadcaster: reads newly accepted trades once for all subscribers of this worker."""

import logging
import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from itertools import islice
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

WAKES: Final = 25
WAKES_EACH: Final = 8
"""In the time between two readings so many subscribers are woken so many times, at most: all at once would keep
requests waiting. The others wait for the next reading, and then receive more at once."""

TEXTS_LIMIT: Final = 20
"""The most texts kept for subscribers that ask for the same; each has up to CHUNK trades."""

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


class Texts(NamedTuple):
    """Trades up to ``last_seq``, encoded; of one symbol, there may be none."""

    last_seq: int
    text: bytes


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
        # Those to wake, the first first; a dict keeps the order.
        self._due: dict[Subscriber, None] = {}
        self._reading = False
        self._first_after = 0
        self._recent: list[Message] = []
        # By ``after`` and symbol: subscribers that are woken together ask for the same.
        self._texts: dict[tuple[int, str | None], Texts] = {}

    def join(self) -> Subscriber | None:
        """Add a subscriber and return it; None when the limit is reached. Raises JournalError."""
        last_seq = self._reader.last_seq()
        with self._lock:
            if len(self._subscribers) >= self._limit:
                self._metrics.feed_drops.labels("full").inc()
                return None
            if not self._reading:
                self._reading, self._recent = True, []
                self._texts.clear()
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
            self._due.pop(subscriber, None)
            self._metrics.feed_subscribers.set(len(self._subscribers))

    def read_after(self, seq: int, symbol: str | None) -> Texts | None:
        """Return the next trades after a seq, at most CHUNK; None when some of them are no longer in memory."""
        with self._lock:
            if seq < self._first_after:
                return None
            texts = self._texts.get((seq, symbol))
            if texts is None:
                first = bisect_right(self._recent, seq, key=attrgetter("seq"))
                recent = self._recent[first : first + CHUNK]
                wanted = [each.text for each in recent if symbol in (None, each.symbol)]
                texts = Texts(recent[-1].seq if recent else seq, b"".join(wanted))
                if len(self._texts) < TEXTS_LIMIT:
                    self._texts[seq, symbol] = texts
            return texts

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
                # What was read before is still sent.
                self._wake_in_turns(RETRY_SECONDS)
                continue
            self.failing = False
            self._publish(events)
            self._wake_in_turns(0 if len(events) == CHUNK else POLL_SECONDS)

    def _end_all(self) -> None:
        with self._lock:
            for subscriber in self._subscribers:
                subscriber.end()
            self._subscribers.clear()
            self._due.clear()

    def _publish(self, events: list[Event]) -> None:
        if not events:
            return
        new = [encode_trade(event) for event in events]
        with self._lock:
            self._recent += new
            self.last_seq = new[-1].seq
            # Not for each trade: deleting the head of a list moves all the rest.
            if len(self._recent) > 2 * RECENT_LIMIT:
                self._first_after = self._recent[-RECENT_LIMIT - 1].seq
                del self._recent[:-RECENT_LIMIT]
            self._texts.clear()
            self._due |= dict.fromkeys(self._subscribers)

    def _wake_in_turns(self, seconds: float) -> None:
        """Wake those that have waited longest, a few at a time, and wait for so many seconds in all."""
        steps = WAKES_EACH if self._due else 1
        for _ in range(steps):
            with self._lock:
                for subscriber in list(islice(self._due, WAKES)):
                    del self._due[subscriber]
                    subscriber.wake.set()
            time.sleep(seconds / steps)

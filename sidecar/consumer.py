"""The consumer: counts each accepted trade once, by its seq, from hints and from the journal."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final

from common.errors import AddressError, BadMessageError, JournalError
from common.journal.batches import CHUNK, Batch, read_batches
from common.journal.store import Journal
from common.settings import Settings
from common.throttle import Throttle
from common.wire.hints import Hint, reject_journal
from common.wire.messages import SeqRange, carries_trades, decode_message, decode_together
from common.wire.transport import KeyPair
from common.wire.worker_totals import WorkerTotals
from sidecar.arrivals import MessageSource, take
from sidecar.counters import Counters
from sidecar.retention import read_checkpoint
from sidecar.state import State

QUIET_SECONDS: Final = 0.25
"""After this long without progress the journal is read, whatever else arrives."""

SILENT_SECONDS: Final = 3.5
"""A web worker that has not reported for this long is not listed as active."""

_log = logging.getLogger(__name__)


class Consumer:
    """Counts what it receives."""

    def __init__(  # noqa: PLR0913 - dependencies are injected
        self,
        counters: Counters,
        receiver: MessageSource,
        journal: Journal,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Continue counting in ``counters``."""
        self.journal_error: JournalError | None = None
        self._counters = counters
        self._receiver = receiver
        self._journal = journal
        self._settings = settings
        self._clock = clock
        self._wall_clock = wall_clock
        self._last_progress = clock()
        self._last_report: dict[str, float] = {}
        self._throttle = Throttle(clock=clock)

    def run(self, stopping: threading.Event) -> None:
        """Step until ``stopping`` is set; the last step ends within QUIET_SECONDS of it."""
        try:
            while not stopping.is_set():
                self.step()
        finally:
            self._journal.close()

    def step(self) -> bool:
        """Process what has arrived, or read the journal after QUIET_SECONDS without progress; True if it did."""
        left = self._last_progress + QUIET_SECONDS - self._clock()
        found = left > 0 and self._receive(left)
        if self._clock() - self._last_progress < QUIET_SECONDS:
            return found
        return self.recover() > 0 or found

    def _receive(self, timeout: float) -> bool:
        """Process the next message; after one of trades, those that have arrived already, all at once."""
        arrived: list[list[bytes]] = []
        try:
            take(self._receiver, timeout, arrived)
        except BadMessageError as error:
            self._process_all(arrived)
            self.reject(error)
            return True
        except AddressError as error:
            self._log_throttled(logging.ERROR, "hints cannot be received", error.reason, error.detail)
        self._process_all(arrived)
        return bool(arrived)

    def _process_all(self, arrived: list[list[bytes]]) -> None:
        last = [arrived.pop()] if arrived and not carries_trades(arrived[-1]) else []
        found = decode_together(arrived, self._counters.journal_id) if len(arrived) > 1 else None
        if found is None:
            last = arrived + last
        else:
            events = list(chain.from_iterable(found))
            # What is in no sequence is counted message by message, as if each had come alone.
            for each in (events,) if self._are_next(events) else found:
                self._count_all(each)
        for frames in last:
            self._process(frames)

    def catch_up(self, stopping: threading.Event) -> None:
        """Apply the journal to its end, before metrics are served. Raises JournalError."""
        while not stopping.is_set() and self._apply_chunk():
            pass
        self._counters.settle()

    def recover(self, announced: SeqRange | None = None) -> int:
        """Apply up to CHUNK events from the journal, or those ``announced``, and return how many.

        A failed read is retried later.
        """
        try:
            count = self._apply_chunk(announced)
        except JournalError as error:
            if self.journal_error is None:
                _log.error("journal cannot be read", extra={"reason": error.reason, "detail": error.detail})
            self.journal_error = error
            self._last_progress = self._clock()
            return 0
        if self.journal_error is not None:
            _log.warning("journal can be read again")
            self.journal_error = None
        if count < CHUNK or announced is not None:
            self._last_progress = self._clock()
        return count

    def _apply_chunk(self, announced: SeqRange | None = None) -> int:
        limit = CHUNK if announced is None else min(CHUNK, announced.last_seq - self._counters.last_seq)
        replaced, batches, keys = self._read_next(limit)
        # A restored journal has its own key pair.
        self._receiver.use(keys)
        if replaced is not None:
            _log.error("journal replaced; recounting from its start", extra={"journal_id": replaced.journal_id})
            self._counters.replace(replaced, self._journal.last_seq())
            announced = None
        if announced is None:
            self._counters.count(batches, self._wall_clock())
        else:
            self._counters.count_range(batches, announced, self._wall_clock())
        return sum(len(batch.prices) for batch in batches)

    def _read_next(self, limit: int) -> tuple[State | None, list[Batch], KeyPair]:
        journal, last_seq = self._journal, self._counters.last_seq
        replaced = None
        if journal.journal_id != self._counters.journal_id:
            replaced = read_checkpoint(journal, self._settings)
            last_seq = replaced.last_seq
        return replaced, read_batches(journal, last_seq, limit), journal.key_pair

    def _process(self, frames: Sequence[bytes]) -> None:
        try:
            message = decode_message(frames, self._counters.journal_id)
        except BadMessageError as error:
            self.reject(error)
            return
        if isinstance(message, WorkerTotals):
            self._update_worker(message)
        elif isinstance(message, SeqRange):
            self._count_range(message)
        else:
            self._count_all(message)

    def _update_worker(self, totals: WorkerTotals) -> None:
        workers = self._counters.observed.workers
        try:
            with self._counters.lock:
                is_new = workers.update(totals)
        except BadMessageError as error:
            self.reject(error)
            return
        if is_new:
            self._last_report[totals.worker] = self._clock()
        for worker in self._last_report.keys() - workers.active.keys():
            del self._last_report[worker]

    def reject(self, error: BadMessageError) -> None:
        """Count a rejected message or peer, and log it at most once a second for each reason."""
        with self._counters.lock:
            rejected = self._counters.observed.rejected
            # A snapshot of an earlier version may lack a reason.
            rejected[error.reason] = rejected.get(error.reason, 0) + 1
        self._log_throttled(logging.WARNING, "message rejected", error.reason, error.detail[:200])

    def _log_throttled(self, level: int, message: str, reason: str, detail: str) -> None:
        count = self._throttle.take(reason)
        if count:
            _log.log(level, message, extra={"reason": reason, "detail": detail, "count": count})

    def list_active(self) -> list[str]:
        """List the workers that reported in the last SILENT_SECONDS."""
        since = self._clock() - SILENT_SECONDS
        return [worker for worker, reported_at in self._last_report.copy().items() if reported_at > since]

    def _count_all(self, events: Sequence[Hint]) -> None:
        if not events or self._reject_other(events[0]):
            return
        counted_at = self._wall_clock()
        if self._are_next(events):
            self._apply_live(events, counted_at)
            return
        self._counters.note_requests(events)
        for event in events:
            if self._reject_other(event):
                return
            self._count(event, counted_at)

    def _reject_other(self, event: Hint) -> bool:
        """Reject the message of an event of another journal: it may be replaced after the message was decoded."""
        expected = self._counters.journal_id
        if event.journal_id != expected:
            self.reject(reject_journal(event.journal_id, expected))
        return event.journal_id != expected

    def _are_next(self, events: Sequence[Hint]) -> bool:
        """Return whether all follow what is counted."""
        following = range(self._counters.last_seq + 1, self._counters.last_seq + 1 + len(events))
        return bool(events) and [event.seq for event in events] == list(following)

    def _apply_live(self, events: Sequence[Hint], counted_at: float) -> None:
        self._counters.receive(events, counted_at)
        self._last_progress = self._clock()
        self.journal_error = None

    def _count_range(self, announced: SeqRange) -> None:
        last = self._counters.last_seq
        is_next = announced.first_seq <= last + 1
        with self._counters.lock:
            self._counters.newest.note_range(announced)
            observed = self._counters.observed
            observed.gaps += not is_next
            observed.duplicates += max(0, min(last, announced.last_seq) - announced.first_seq + 1)
        while self._counters.last_seq < announced.last_seq and self.recover(announced if is_next else None):
            pass

    def _count(self, event: Hint, counted_at: float) -> None:
        if event.seq > self._counters.last_seq + 1:
            with self._counters.lock:
                self._counters.observed.gaps += 1
            while self._counters.last_seq < event.seq and self.recover():
                pass
        elif event.seq <= self._counters.last_seq:
            with self._counters.lock:
                self._counters.observed.duplicates += 1
        else:
            self._apply_live((event,), counted_at)

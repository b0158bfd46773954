"""The consumer: counts each accepted trade once, by its seq, from hints and from the journal."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, Protocol

from common.errors import AddressError, BadMessageError, JournalError
from common.event import Event
from common.journal.batches import SymbolSideBatch, read_batches
from common.journal.connection import Connection
from common.journal.store import Journal
from common.throttle import Throttle
from common.wire.messages import decode_message
from common.wire.transport import KeyPair
from common.wire.worker_totals import WorkerTotals
from sidecar.retention import read_checkpoint
from sidecar.state import State

QUIET_SECONDS: Final = 0.25
"""Without news for this long the journal is asked, whatever else arrives."""

SILENT_SECONDS: Final = 3.5
"""A web worker that tells nothing for this long does not count as one that serves."""

CHUNK: Final = 10_000
"""Events read from the journal at once."""

_log = logging.getLogger(__name__)


class MessageSource(Protocol):
    """Where messages come from; ``receive`` waits up to ``timeout`` seconds and gives None when none came."""

    def use(self, keys: KeyPair) -> None:
        """Take messages only from those that have this key pair."""

    def receive(self, timeout: float) -> list[bytes] | None:
        """Give the frames of the next message. Raises BadMessageError and AddressError."""


class Consumer:
    """Folds what it receives into one state, which others read and copy under ``lock``."""

    def __init__(  # noqa: PLR0913 - the world is injected
        self,
        state: State,
        receiver: MessageSource,
        open_journal: Callable[[], Journal],
        *,
        symbol_limit: int,
        trading_symbols: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Count on from ``state``."""
        self.state = state
        self.lock = threading.Lock()
        self.journal_error: JournalError | None = None
        self._receiver = receiver
        self._connection = Connection(open_journal)
        self._limit = symbol_limit
        self._symbols = trading_symbols
        self._clock = clock
        self._wall_clock = wall_clock
        self._last_news = clock()
        self._last_report: dict[str, float] = {}
        self._throttle = Throttle(clock=clock)

    def run(self, stopping: threading.Event) -> None:
        """Step until ``stopping`` is set; the last step ends within QUIET_SECONDS of it."""
        try:
            while not stopping.is_set():
                self.step()
        finally:
            self._connection.close()

    def step(self) -> bool:
        """Take one message, or ask the journal when nothing was counted for QUIET_SECONDS; True if it found work."""
        left = self._last_news + QUIET_SECONDS - self._clock()
        found = left > 0 and self._receive(left)
        if self._clock() - self._last_news < QUIET_SECONDS:
            return found
        return self.recover() > 0 or found

    def _receive(self, timeout: float) -> bool:
        try:
            frames = self._receiver.receive(timeout)
        except BadMessageError as error:
            self.reject(error)
            return True
        except AddressError as error:
            self._log_sometimes(logging.ERROR, "hints cannot be received", error.reason, error.detail)
            return False
        if frames is not None:
            self._take(frames)
        return frames is not None

    def catch_up(self, stopping: threading.Event) -> None:
        """Apply the journal to its end, before anyone may look. Raises JournalError."""
        while not stopping.is_set() and self._apply_chunk():
            pass

    def recover(self) -> int:
        """Apply up to CHUNK events that no hint brought, and give how many; a failing journal is asked again later."""
        try:
            count = self._apply_chunk()
        except JournalError as error:
            if self.journal_error is None:
                _log.error("journal cannot be read", extra={"reason": error.reason, "detail": error.detail})
            self.journal_error = error
            self._last_news = self._clock()
            return 0
        if self.journal_error is not None:
            _log.warning("journal can be read again")
            self.journal_error = None
        if count < CHUNK:
            self._last_news = self._clock()
        return count

    def _apply_chunk(self) -> int:
        state, groups, keys = self._connection.ask(self._read_on)
        # A journal that was put back has a key pair of its own.
        self._receiver.use(keys)
        if state is not self.state:
            _log.error(
                "another journal stands in its place; counting begins anew", extra={"journal_id": state.journal_id}
            )
        with self.lock:
            self.state = state
            state.count(groups, "journal", self._limit)
        return sum(len(group.prices) for group in groups)

    def _read_on(self, journal: Journal) -> tuple[State, list[SymbolSideBatch], KeyPair]:
        state = self.state if journal.journal_id == self.state.journal_id else read_checkpoint(journal, self._symbols)
        return state, read_batches(journal, state.last_seq, CHUNK), journal.key_pair

    def _take(self, frames: Sequence[bytes]) -> None:
        try:
            message = decode_message(frames, self.state.journal_id)
        except BadMessageError as error:
            self.reject(error)
            return
        if isinstance(message, WorkerTotals):
            self.update_workers([message])
        else:
            self._count_all(message)

    def update_workers(self, told: Iterable[WorkerTotals]) -> Collection[str]:
        """Take what workers tell of themselves, in whatever order and however often; give those that are rejected."""
        rejected: dict[str, BadMessageError] = {}
        with self.lock:
            for facts in told:
                try:
                    news = self.state.observed.workers.update(facts)
                except BadMessageError as error:
                    rejected[facts.worker] = error
                    continue
                if news:
                    self._last_report[facts.worker] = self._clock()
            for worker in self._last_report.keys() - self.state.observed.workers.active.keys():
                del self._last_report[worker]
        for reason in rejected.values():
            self.reject(reason)
        return rejected.keys()

    def forget_retired(self, kept: Collection[str]) -> None:
        """Forget the names of workers that ended long ago, but for those in ``kept``."""
        with self.lock:
            self.state.observed.workers.forget_retired(kept)

    def reject(self, error: BadMessageError) -> None:
        """Count what cannot be used, and log it at most once a second for each reason."""
        with self.lock:
            rejected = self.state.observed.rejected
            # A snapshot of an earlier version does not have every reason.
            rejected[error.reason] = rejected.get(error.reason, 0) + 1
        self._log_sometimes(logging.WARNING, "message rejected", error.reason, error.detail[:200])

    def _log_sometimes(self, level: int, message: str, reason: str, detail: str) -> None:
        count = self._throttle.take(reason)
        if count:
            _log.log(level, message, extra={"reason": reason, "detail": detail, "count": count})

    def list_active(self) -> list[str]:
        """List the workers that were heard a moment ago."""
        since = self._clock() - SILENT_SECONDS
        return [worker for worker, heard in self._last_report.copy().items() if heard > since]

    def _count_all(self, events: Sequence[Event]) -> None:
        counted_at = self._wall_clock()
        last = self.state.last_seq
        if events and [event.seq for event in events] == list(range(last + 1, last + 1 + len(events))):
            self._apply_live(events, counted_at)
        else:
            for event in events:
                self._count(event, counted_at)

    def _apply_live(self, events: Sequence[Event], counted_at: float) -> None:
        with self.lock:
            self.state.apply(events, "live", self._limit, counted_at)
        self._last_news = self._clock()
        self.journal_error = None

    def _count(self, event: Event, counted_at: float) -> None:
        if event.seq > self.state.last_seq + 1:
            with self.lock:
                self.state.observed.gaps += 1
            while self.state.last_seq < event.seq and self.recover():
                pass
        elif event.seq <= self.state.last_seq:
            with self.lock:
                self.state.observed.duplicates += 1
        else:
            self._apply_live((event,), counted_at)

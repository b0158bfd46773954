"""The publisher: commits trades to the journal, then sends hints to the sidecar. One per worker process."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, cast

from flask import Flask, current_app
from uuid6 import uuid7

from common.errors import JournalError, KeyInFlightError, KeyReusedError, TelemetryError
from common.event import TRADE_FIELDS, Event, Trade
from common.journal.appending import AppendResult, Request, Row
from common.journal.connection import Connection, Latch
from common.journal.keys import Key
from common.journal.store import Journal
from common.process import PerProcess
from common.settings import Settings
from common.timestamps import Timestamp, format_timestamp, now
from common.wire import messages
from common.wire.transport import KeyPair, Sender
from common.wire.worker_totals import WorkerTotals
from webapp.concurrency import run_in_threadpool
from webapp.hints import Hints
from webapp.worker_metrics import WorkerMetrics

COMMIT_LIMIT: Final = 512
"""The most requests in one commit."""


class KeyedTrade(NamedTuple):
    """A trade with its idempotency key; a trade whose key was used before is not written again."""

    trade: Trade
    key: Key | None = None


class _Writer:
    """One queued request and its outcome."""

    def __init__(self, request: Request, request_id: str) -> None:
        self.request = request
        self.request_id = request_id
        self.result: AppendResult | None = None
        self.error: TelemetryError | None = None
        self.done = False
        self.wake = threading.Event()

    def finish(self, outcome: AppendResult | TelemetryError) -> None:
        """Set the outcome, and wake the request."""
        if isinstance(outcome, TelemetryError):
            self.error = outcome
        else:
            self.result = outcome
        self.done = True
        self.wake.set()


class Publisher:
    """Accepts trades; concurrent requests share one transaction and one sync.

    The group commit is LevelDB's writer queue: the first waiter leads. It commits the queued requests, its own first,
    up to COMMIT_LIMIT, while later requests queue; then it wakes them, and the first queued one leads. This guarantees:

    - A worker runs one commit at a time, and its seqs follow the order of the queue.
    - ``accept`` returns only after the commit that has its trades is durable, as JOURNAL_SYNC defines it.
    - A failed commit writes nothing and fails each of its requests; later requests are not affected.
    - A request whose key was used with other fields fails alone: the others of its commit are written.
    - A leader always wakes its requests, then hands over or clears ``_has_leader``, even when its commit raises.

    Source: LevelDB, ``DBImpl::Write`` and ``DBImpl::BuildBatchGroup``.
    """

    def __init__(
        self,
        open_journal: Callable[[], Journal],
        open_sender: Callable[[KeyPair], Sender],
        observe_commit: Callable[[float, int], None] = lambda _seconds, _trades: None,
        latch: Latch | None = None,
    ) -> None:
        """Keep the functions that open the journal and the sender, at their first use.

        ``observe_commit`` is called with the seconds and the number of trades of each commit.
        """
        self._connection = Connection(open_journal, latch)
        self._observe_commit = observe_commit
        self._hints = Hints(open_sender)
        self._queue: deque[_Writer] = deque()
        self._in_flight: set[tuple[bool, str, str]] = set()
        self._has_leader = False
        self._queue_lock = threading.Lock()
        self._journal_lock = threading.Lock()

    def accept(
        self,
        trades: Sequence[KeyedTrade],
        request_key: Key | None = None,
        *,
        wait_for_key: bool = False,
        request_id: str = "",
    ) -> AppendResult:
        """Write trades to the journal, all or none, then send their hints.

        When this returns, the trades are on disk. A trade whose key was used before is not written again, and a
        request whose ``request_key`` was used before returns the earlier result. ``request_id`` is sent with the hints.
        Raises JournalError when none is on disk, KeyReusedError when a key was used with other fields, and
        KeyInFlightError when the key of the request, or of its only trade, is in flight; with ``wait_for_key`` such a
        request is queued instead.
        """
        accepted_at = format_timestamp(now())
        rows = [Row(_make_event(trade, accepted_at), key) for trade, key in trades]
        writer = _Writer(Request(rows, request_key), request_id)
        key = request_key or (trades[0].key if len(trades) == 1 else None)
        if key is None or wait_for_key:
            return self._queue_and_wait(writer)
        claim = (request_key is not None, key.owner, key.name)
        with self._queue_lock:
            if claim in self._in_flight:
                raise KeyInFlightError("key_in_flight", "the first request with this Idempotency-Key is in flight")
            self._in_flight.add(claim)
        try:
            return self._queue_and_wait(writer)
        finally:
            with self._queue_lock:
                self._in_flight.discard(claim)

    def _queue_and_wait(self, writer: _Writer) -> AppendResult:
        with self._queue_lock:
            self._queue.append(writer)
            is_leader, self._has_leader = not self._has_leader, True
        if not is_leader:
            writer.wake.wait()
        if not writer.done:
            self._lead()
        if writer.result is None:
            raise writer.error or JournalError("failed", "the commit was interrupted")
        return writer.result

    def _lead(self) -> None:
        with self._queue_lock:
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), COMMIT_LIMIT))]
        try:
            with self._journal_lock:
                self._commit(batch)
        finally:
            with self._queue_lock:
                next_leader = self._queue[0] if self._queue else None
                self._has_leader = next_leader is not None
            if next_leader is not None:
                next_leader.wake.set()

    def _commit(self, batch: list[_Writer]) -> None:
        error = JournalError("failed", "the commit was interrupted")
        try:
            outcomes, seconds = run_in_threadpool(partial(self._append, [writer.request for writer in batch]))
            hints: list[Event] = []
            for writer, outcome in zip(batch, outcomes, strict=True):
                writer.finish(outcome)
                if isinstance(outcome, AppendResult):
                    written = [event for event, fresh in zip(outcome.events, outcome.fresh, strict=True) if fresh]
                    hints += [messages.hint(event, writer.request_id) for event in written]
            if hints:
                self._observe_commit(seconds, len(hints))
                for frames in messages.encode_messages(hints):
                    self._hints.send(frames)
        except JournalError as journal_error:
            error = journal_error
        finally:
            for writer in batch:
                if not writer.done:
                    # One error per request: a shared one would collect the tracebacks of all.
                    writer.finish(JournalError(error.reason, error.detail))

    def _append(self, requests: list[Request]) -> tuple[list[AppendResult | KeyReusedError], float]:
        def append(journal: Journal) -> tuple[list[AppendResult | KeyReusedError], float]:
            self._hints.use(journal.key_pair)
            began = time.perf_counter()
            outcomes = journal.append_requests(requests)
            return outcomes, time.perf_counter() - began

        return self._connection.ask(append)

    def report(self, totals: WorkerTotals) -> None:
        """Send this worker's totals to the sidecar; the message may be lost."""
        with self._journal_lock:
            # A worker that ends must not wait for the journal: its last report uses the key pair it has.
            if not totals.ended:
                self._read_keys()
            self._hints.send(messages.encode_report(totals))

    def _read_keys(self) -> None:
        def read(journal: Journal) -> KeyPair:
            # Fails when the open journal was replaced, and saves what a removed write-ahead log holds.
            journal.check_files()
            return journal.key_pair

        # Without the journal the report is lost or sent with the last key pair; the next one has all totals again.
        with contextlib.suppress(JournalError):
            self._hints.use(run_in_threadpool(partial(self._connection.ask, read)))

    def check(self) -> None:
        """Check that a trade could be accepted now. Raises JournalError."""
        with self._journal_lock:
            run_in_threadpool(lambda: self._connection.ask(Journal.check_writable))

    def close(self) -> None:
        """Close the journal, and the socket after its queue has been sent; may be called twice."""
        with self._journal_lock:
            self._connection.close()
            self._hints.close()


def _make_event(trade: Trade, accepted_at: Timestamp) -> Event:
    fields = (getattr(trade, name) for name in TRADE_FIELDS)
    return Event(*fields, seq=0, id=str(uuid7()), journal_id="", accepted_at=accepted_at)


def init_app(app: Flask) -> None:
    """Give each worker its publisher, which opens with the first trade."""
    settings: Settings = app.config["SETTINGS"]
    metrics = cast("PerProcess[WorkerMetrics]", app.extensions["worker_metrics"])
    app.extensions["publisher"] = PerProcess(
        lambda: Publisher(
            open_journal=partial(Journal, settings.journal_path, settings.journal_sync),
            open_sender=partial(Sender, settings.webapp_zmq_addr),
            observe_commit=lambda seconds, trades: metrics.get().observe_commit(seconds, trades),
            latch=app.extensions["latch"],
        )
    )


def current_publisher() -> Publisher:
    """Return this process's publisher."""
    return cast("PerProcess[Publisher]", current_app.extensions["publisher"]).get()


def close_publisher(app: Flask) -> None:
    """Close this process's publisher, if it was opened; called when a worker ends."""
    held = cast("PerProcess[Publisher]", app.extensions["publisher"]).take()
    if held is not None:
        held.close()

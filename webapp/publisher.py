"""The publisher: commits trades to the journal, then sends hints to the sidecar. One per worker process."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from common.errors import HubError, JournalError, KeyInFlightError, KeyReusedError
from common.event import Event
from common.journal.appending import AppendResult, KeyedTrade, Request
from common.journal.keys import Key
from common.journal.store import Journal
from common.timestamps import format_timestamp, now
from common.wire import messages
from common.wire.transport import KeyPair, Sender
from common.wire.worker_totals import WorkerTotals
from webapp.commit_queue import CommitQueue, Queued
from webapp.concurrency import run_in_threadpool
from webapp.hints import Hints


class Publisher:
    """Accepts trades, and sends their hints.

    ``accept`` returns only after the commit that has its trades is durable, as JOURNAL_SYNC defines it. A failed
    commit writes nothing and fails each of its requests; later ones are not affected. A request whose key was used
    with other fields fails alone: the others of its commit are written.
    """

    def __init__(
        self,
        journal: Journal,
        open_sender: Callable[[KeyPair], Sender],
        observe_commit: Callable[[float, int], None] = lambda _seconds, _trades: None,
    ) -> None:
        """Keep the journal, which opens with its first use, and the function that opens the sender.

        ``observe_commit`` is called with the seconds and the number of trades of each commit.
        """
        self._journal = journal
        self._observe_commit = observe_commit
        self._hints = Hints(open_sender)
        self._times_opened = 0
        self._journal_lock = threading.Lock()
        self._commits = CommitQueue(self._commit)
        self._in_flight: set[tuple[bool, str, str]] = set()
        self._in_flight_lock = threading.Lock()

    def accept(
        self,
        trades: Sequence[KeyedTrade],
        request_key: Key | None = None,
        *,
        wait_for_key: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> AppendResult:
        """Write trades to the journal, all or none, then send their hints.

        When this returns, the trades are on disk. A trade whose key was used before is not written again, and a
        request whose ``request_key`` was used before returns the earlier result. ``request_id`` is sent with the hints.
        Raises JournalError when none is on disk, HubError when the journal is that of a hub, KeyReusedError when a key
        was used with other fields, and KeyInFlightError when the key of the request, or of its only trade, is in
        flight; with ``wait_for_key`` such a request is queued instead. Without a result after ``timeout`` seconds it
        raises JournalError too, with the reason ``slow``: the trades are then on disk if their commit has begun and
        succeeds, and not otherwise.
        """
        request = Request(trades, format_timestamp(now()), request_key)
        key = request_key or (trades[0].key if len(trades) == 1 else None)
        if key is None or wait_for_key:
            return self._queue_and_wait(request, request_id, timeout)
        claim = (request_key is not None, key.owner, key.name)
        with self._in_flight_lock:
            if claim in self._in_flight:
                raise KeyInFlightError("key_in_flight", "the first request with this Idempotency-Key is in flight")
            self._in_flight.add(claim)
        try:
            return self._queue_and_wait(request, request_id, timeout)
        finally:
            with self._in_flight_lock:
                self._in_flight.discard(claim)

    def _queue_and_wait(self, request: Request, request_id: str, timeout: float | None) -> AppendResult:
        outcome = self._commits.put(request, request_id)
        try:
            return outcome.result(timeout)
        except TimeoutError as error:
            raise JournalError("slow", f"no commit within {timeout} s") from error
        finally:
            # A request that is killed while it waits is not written, unless its commit has begun.
            outcome.cancel()

    def _commit(self, group: Sequence[Queued]) -> None:
        with self._journal_lock:
            try:
                requests = [queued.request for queued in group]
                outcomes, seconds = run_in_threadpool(partial(self._append, requests))
            except (JournalError, HubError) as error:
                for queued in group:
                    # One error per request: a shared one would collect the tracebacks of all.
                    queued.outcome.set_exception(type(error)(error.reason, error.detail))
                return
            accepted: list[tuple[Queued, AppendResult]] = []
            for queued, outcome in zip(group, outcomes, strict=True):
                if isinstance(outcome, KeyReusedError):
                    queued.outcome.set_exception(outcome)
                else:
                    queued.outcome.set_result(outcome)
                    accepted.append((queued, outcome))
            trades = sum(result.accepted for _, result in accepted if not result.replayed)
            if trades:
                self._observe_commit(seconds, trades)
                self._send_hints(accepted)

    def _send_hints(self, accepted: Sequence[tuple[Queued, AppendResult]]) -> None:
        """Send the events of small requests together, and of each large one its range, in the order of their seqs."""
        waiting: list[tuple[Event, str]] = []
        for queued, result in accepted:
            if len(waiting) + len(result.written) > messages.EVENTS_MAX:
                self._send_events(waiting)
                waiting = []
            if len(result.written) > messages.EVENTS_MAX:
                seqs, journal_id = result.written.seqs, result.written.journal_id
                accepted_at = result.written.accepted_at
                written = messages.SeqRange(journal_id, seqs[0], seqs[-1], accepted_at, queued.request_id)
                self._hints.send(messages.encode_range(written))
            else:
                waiting += [(event, queued.request_id) for event in result.written]
        self._send_events(waiting)

    def _send_events(self, written: Sequence[tuple[Event, str]]) -> None:
        if written:
            self._hints.send(messages.encode_message(*zip(*written, strict=True)))

    def _append(self, requests: Sequence[Request]) -> tuple[list[AppendResult | KeyReusedError], float]:
        began = time.perf_counter()
        outcomes = self._journal.append(requests)
        seconds = time.perf_counter() - began
        if self._journal.times_opened != self._times_opened:
            self._use_keys()
        return outcomes, seconds

    def report(self, totals: WorkerTotals) -> None:
        """Send this worker's totals to the sidecar; the message may be lost."""
        with self._journal_lock:
            # A worker that ends must not wait for the journal: its last report uses the key pair it has.
            if not totals.ended:
                run_in_threadpool(self._use_keys)
            self._hints.send(messages.encode_report(totals))

    def _use_keys(self) -> None:
        # Fails when the open journal was replaced, and saves what a removed write-ahead log holds. Without the journal
        # a hint or a report is lost or sent with the last key pair; the next report has all totals again.
        with contextlib.suppress(JournalError):
            self._hints.use(self._journal.key_pair)
            self._times_opened = self._journal.times_opened

    def check(self) -> None:
        """Check that a trade could be accepted now. Raises JournalError."""
        with self._journal_lock:
            run_in_threadpool(self._journal.check_writable)

    def close(self) -> None:
        """Close the journal, and the socket after its queue has been sent; may be called twice."""
        with self._journal_lock:
            self._journal.close()
            self._hints.close()

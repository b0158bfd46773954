"""The publisher: journal first, then a hint to the sidecar. One for each worker process, opened after fork."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, cast

from flask import Flask, current_app
from uuid6 import uuid7

from common.errors import JournalError, KeyInFlightError, KeyReusedError, TapeError
from common.event import Event, Trade
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

GROUP_LIMIT: Final = 512
"""Requests that share one transaction at the most."""


class KeyedTrade(NamedTuple):
    """A trade with the key that its client gave it; a trade whose key was used before is not written again."""

    trade: Trade
    key: Key | None = None


class _Waiting:
    """One request while it waits for its commit, and what became of it."""

    def __init__(self, request: Request, request_id: str) -> None:
        self.request = request
        self.request_id = request_id
        self.result: AppendResult | None = None
        self.error: TapeError | None = None
        self.settled = False
        self.called = threading.Event()

    def settle(self, outcome: AppendResult | TapeError) -> None:
        """Take what became of the request, and let it go on."""
        if isinstance(outcome, TapeError):
            self.error = outcome
        else:
            self.result = outcome
        self.settled = True
        self.called.set()


class Publisher:
    """Accepts trades: those that wait together share one transaction and one sync.

    Whoever finds nobody at work leads: it commits all that wait, itself among them, and calls the first of those
    that came meanwhile to lead the next group.
    """

    def __init__(
        self,
        open_journal: Callable[[], Journal],
        open_sender: Callable[[KeyPair], Sender],
        observe_commit: Callable[[float, int], None] = lambda _seconds, _trades: None,
        latch: Latch | None = None,
    ) -> None:
        """Keep how to open the journal and the sender, which open when they are first needed.

        ``observe_commit`` is told the seconds and the trades of each commit.
        """
        self._connection = Connection(open_journal, latch)
        self._observe_commit = observe_commit
        self._hints = Hints(open_sender)
        self._queue: deque[_Waiting] = deque()
        self._in_flight: set[tuple[bool, str, str]] = set()
        self._led = False
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def accept(
        self,
        trades: Sequence[KeyedTrade],
        request_key: Key | None = None,
        *,
        patient: bool = False,
        request_id: str = "",
    ) -> AppendResult:
        """Write trades to the journal, all or none, then publish them.

        When this returns they are on the disk. A trade whose key was used before is not written again, and a request
        whose ``request_key`` was used before gives what it wrote then. ``request_id`` goes with the hints.
        Raises JournalError when none is on the disk, KeyReusedError, and, unless ``patient``, KeyInFlightError when
        the key of the request, or of its only trade, is under way.
        """
        moment = format_timestamp(now())
        rows = [Row(_make_event(trade, moment), key) for trade, key in trades]
        waiting = _Waiting(Request(rows, request_key), request_id)
        claimed = request_key or (trades[0].key if len(trades) == 1 else None)
        if claimed is None or patient:
            return self._wait(waiting)
        claim = (request_key is not None, claimed.owner, claimed.name)
        with self._lock:
            if claim in self._in_flight:
                raise KeyInFlightError("key_in_flight", "the first request with this Idempotency-Key is under way")
            self._in_flight.add(claim)
        try:
            return self._wait(waiting)
        finally:
            with self._lock:
                self._in_flight.discard(claim)

    def _wait(self, waiting: _Waiting) -> AppendResult:
        with self._lock:
            self._queue.append(waiting)
            leads, self._led = not self._led, True
        if not leads:
            waiting.called.wait()
        if not waiting.settled:
            self._lead()
        if waiting.result is None:
            raise waiting.error or JournalError("failed", "the commit was broken off")
        return waiting.result

    def _lead(self) -> None:
        with self._lock:
            group = [self._queue.popleft() for _ in range(min(len(self._queue), GROUP_LIMIT))]
        try:
            with self._turn:
                self._settle(group)
        finally:
            with self._lock:
                following = self._queue[0] if self._queue else None
                self._led = following is not None
            if following is not None:
                following.called.set()

    def _settle(self, group: list[_Waiting]) -> None:
        error = JournalError("failed", "the commit was broken off")
        try:
            outcomes, seconds = run_in_threadpool(partial(self._append, [waiting.request for waiting in group]))
            hints: list[Event] = []
            for waiting, outcome in zip(group, outcomes, strict=True):
                waiting.settle(outcome)
                if isinstance(outcome, AppendResult):
                    written = [event for event, fresh in zip(outcome.events, outcome.fresh, strict=True) if fresh]
                    hints += [messages.hint(event, waiting.request_id) for event in written]
            if hints:
                self._observe_commit(seconds, len(hints))
                for frames in messages.encode_messages(hints):
                    self._hints.send(frames)
        except JournalError as journal_error:
            error = journal_error
        finally:
            for waiting in group:
                if not waiting.settled:
                    # Each request raises one of its own: their tracebacks would grow together.
                    waiting.settle(JournalError(error.reason, error.detail))

    def _append(self, requests: list[Request]) -> tuple[list[AppendResult | KeyReusedError], float]:
        def append(journal: Journal) -> tuple[list[AppendResult | KeyReusedError], float]:
            self._hints.use(journal.key_pair)
            began = time.perf_counter()
            outcomes = journal.append_requests(requests)
            return outcomes, time.perf_counter() - began

        return self._connection.ask(append)

    def report(self, facts: WorkerTotals) -> None:
        """Tell the sidecar what this worker has done so far; may be lost."""
        with self._turn:
            # The last report goes out as it can, since a worker that ends may wait for nothing.
            if not facts.ended:
                self._read_keys()
            self._hints.send(messages.encode_report(facts))

    def _read_keys(self) -> None:
        def read(journal: Journal) -> KeyPair:
            # It fails when another journal was put in the place of the open one, and saves what a removed log holds.
            journal.check_files()
            return journal.key_pair

        # Without the journal the report is lost or goes out under the last key; the next one says all again.
        with contextlib.suppress(JournalError):
            self._hints.use(run_in_threadpool(partial(self._connection.ask, read)))

    def keep(self, facts: WorkerTotals) -> None:
        """Write the last facts of this worker to the journal. Raises JournalError."""
        with self._turn:
            self._connection.ask(lambda journal: journal.keep_facts(facts.worker, messages.encode_totals(facts)))

    def check(self) -> None:
        """Prove that a trade could be accepted now. Raises JournalError."""
        with self._turn:
            run_in_threadpool(lambda: self._connection.ask(Journal.check_writable))

    def close(self) -> None:
        """Close the journal, and the socket once its queue is out; may be called twice."""
        with self._turn:
            self._connection.close()
            self._hints.close()


def _make_event(trade: Trade, moment: Timestamp) -> Event:
    t = trade
    return Event(0, str(uuid7()), "", moment, t.ts, t.symbol, t.side, t.price, t.qty)


def init_app(app: Flask) -> None:
    """Give the application a publisher, opened in each process that accepts a trade."""
    settings: Settings = app.config["SETTINGS"]
    measures = cast("PerProcess[WorkerMetrics]", app.extensions["measures"])
    app.extensions["publisher"] = PerProcess(
        lambda: Publisher(
            open_journal=partial(Journal, settings.journal_path, settings.journal_sync),
            open_sender=partial(Sender, settings.webapp_zmq_addr),
            observe_commit=lambda seconds, trades: measures.get().observe_commit(seconds, trades),
            latch=app.extensions["latch"],
        )
    )


def current_publisher() -> Publisher:
    """Give this process's publisher."""
    return cast("PerProcess[Publisher]", current_app.extensions["publisher"]).get()


def close_publisher(app: Flask) -> None:
    """Close this process's publisher, if it has one; for the end of a worker."""
    held = cast("PerProcess[Publisher]", app.extensions["publisher"]).take()
    if held is not None:
        held.close()

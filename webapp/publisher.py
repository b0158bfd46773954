"""The publisher: journal first, then a hint to the sidecar. One for each worker process, opened after fork."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Final, NamedTuple, cast

import msgspec
from flask import Flask, current_app
from uuid6 import uuid7

from tape import wire
from tape.connection import Connection
from tape.errors import AddressError, JournalError, KeyInFlightError, KeyReusedError, TapeError
from tape.event import Event, Trade, now, write_instant
from tape.facts import Facts
from tape.journal import Journal, Key, Place
from tape.process import PerProcess
from tape.settings import KEYS_KEPT, Settings
from tape.transport import Sender
from webapp.loop import leave_loop
from webapp.measures import Measures

_log = logging.getLogger(__name__)

GROUP_LIMIT: Final = 512
"""Requests that share one transaction at the most."""


class Acceptance(NamedTuple):
    """What became of one request: its events, and whether they were accepted now or by an earlier use of its key."""

    events: list[Event]
    fresh: bool


class _Waiting:
    """One request's entries while they wait for their commit, and what became of them."""

    def __init__(self, entries: list[tuple[Event, Key | None]], request_id: str) -> None:
        self.entries = entries
        self.request_id = request_id
        self.acceptance = Acceptance([], fresh=False)
        self.error: TapeError | None = None
        self.settled = False
        self.called = threading.Event()

    def settle(self, outcomes: Sequence[tuple[Event | None, bool]]) -> None:
        """Take what became of each entry; None where a key was used for another payload."""
        events = [event for event, _ in outcomes if event is not None]
        if len(events) < len(outcomes):
            self.error = KeyReusedError("key_reused", "this Idempotency-Key was used before, for another trade")
        self.acceptance = Acceptance(events, all(fresh for _, fresh in outcomes))
        self.wake()

    def wake(self) -> None:
        """Let the request go on."""
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
        open_sender: Callable[[], Sender],
        keys_kept: timedelta = KEYS_KEPT,
        observe_commit: Callable[[float, int], None] = lambda _seconds, _trades: None,
    ) -> None:
        """Keep how to open the journal and the sender, which open when they are first needed.

        ``observe_commit`` is told the seconds and the trades of each commit.
        """
        self._connection = Connection(open_journal)
        self._open_sender = open_sender
        self._keys_kept = keys_kept
        self._observe_commit = observe_commit
        self._sender: Sender | None = None
        self._queue: deque[_Waiting] = deque()
        self._in_flight: set[tuple[str, str]] = set()
        self._led = False
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def accept(
        self, trades: Sequence[Trade], key: Key | None = None, *, patient: bool = False, request_id: str = ""
    ) -> Acceptance:
        """Write trades to the journal, all or none, then publish them.

        When this returns they are on the disk. With a key that was used before it gives what was accepted then.
        ``request_id`` goes with their hints.
        Raises JournalError when none is on the disk, KeyReusedError, and, unless ``patient``, KeyInFlightError.
        """
        moment = write_instant(now())
        waiting = _Waiting(
            [(Event(0, str(uuid7()), "", moment, t.ts, t.symbol, t.side, t.price, t.qty), key) for t in trades],
            request_id,
        )
        if key is None or patient:
            return self._wait(waiting)
        with self._lock:
            if key[:2] in self._in_flight:
                raise KeyInFlightError("key_in_flight", "the first request with this Idempotency-Key is under way")
            self._in_flight.add(key[:2])
        try:
            return self._wait(waiting)
        finally:
            with self._lock:
                self._in_flight.discard(key[:2])

    def _wait(self, waiting: _Waiting) -> Acceptance:
        with self._lock:
            self._queue.append(waiting)
            leads, self._led = not self._led, True
        if not leads:
            waiting.called.wait()
        if not waiting.settled:
            self._lead()
        if waiting.error is not None:
            raise type(waiting.error)(waiting.error.reason, waiting.error.detail) from waiting.error
        return waiting.acceptance

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
            entries = [entry for waiting in group for entry in waiting.entries]
            outcomes, seconds = leave_loop(partial(self._append, entries))
            left = iter(outcomes)
            hints: list[Event] = []
            for waiting in group:
                settled = [next(left) for _ in waiting.entries]
                waiting.settle(settled)
                hints += [wire.hint(event, waiting.request_id) for event, fresh in settled if fresh and event]
            if hints:
                self._observe_commit(seconds, len(hints))
                self._send(wire.encode_message(hints))
        except JournalError as journal_error:
            error = journal_error
        finally:
            for waiting in group:
                if not waiting.settled:
                    waiting.error = error
                    waiting.wake()

    def _append(self, entries: list[tuple[Event, Key | None]]) -> tuple[list[tuple[Event | None, bool]], float]:
        keys_since = write_instant(now() - self._keys_kept)

        def append(journal: Journal) -> tuple[list[tuple[Event | None, bool]], float]:
            began = time.perf_counter()
            places = journal.append_keyed(entries, keys_since)
            seconds = time.perf_counter() - began
            return [
                (_locate(journal, event, place), place.fresh) for (event, _), place in zip(entries, places, strict=True)
            ], seconds

        return self._connection.ask(append)

    def _send(self, frames: list[bytes]) -> None:
        try:
            if self._sender is None:
                self._sender = self._open_sender()
        except AddressError as error:
            # A lost hint costs nothing but time: the sidecar reads the journal.
            _log.warning("hint lost", extra={"reason": error.reason, "detail": error.detail})
        else:
            self._sender.send(frames)

    def report(self, facts: Facts) -> None:
        """Tell the sidecar what this worker has done so far; may be lost."""
        with self._turn:
            self._send([wire.FACTS, wire.encode_facts(facts)])

    def keep(self, facts: Facts) -> None:
        """Write the last facts of this worker to the journal. Raises JournalError."""
        with self._turn:
            self._connection.ask(lambda journal: journal.keep_facts(facts.worker, wire.encode_facts(facts)))

    def check(self) -> None:
        """Prove that a trade could be accepted now. Raises JournalError."""
        with self._turn:
            leave_loop(lambda: self._connection.ask(Journal.check_writable))

    def close(self) -> None:
        """Close the journal, and the socket once its queue is out; may be called twice."""
        with self._turn:
            self._connection.close()
            if self._sender is not None:
                self._sender.close()
                self._sender = None


def _locate(journal: Journal, event: Event, place: Place) -> Event | None:
    if place.fresh:
        return msgspec.structs.replace(event, seq=place.seq, origin=journal.origin)
    return next(iter(journal.read_after(place.seq - 1, 1)), None) if place.seq else None


def init_app(app: Flask) -> None:
    """Give the application a publisher, opened in each process that accepts a trade."""
    settings: Settings = app.config["SETTINGS"]
    measures = cast("PerProcess[Measures]", app.extensions["measures"])
    app.extensions["publisher"] = PerProcess(
        lambda: Publisher(
            open_journal=partial(Journal, settings.journal_path, settings.journal_sync),
            open_sender=partial(Sender, settings.webapp_zmq_addr),
            keys_kept=settings.tell_keys_kept(),
            observe_commit=lambda seconds, trades: measures.get().observe_commit(seconds, trades),
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

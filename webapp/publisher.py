"""The publisher: journal first, then a hint to the sidecar. One for each worker process, opened after fork."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, cast

import msgspec
from flask import Flask, current_app
from uuid6 import uuid7

from tape import wire
from tape.connection import Connection
from tape.errors import AddressError, JournalError
from tape.event import Event, Trade, now, write_instant
from tape.journal import Journal
from tape.process import PerProcess
from tape.settings import Settings
from tape.transport import Sender
from webapp.loop import leave_loop

_log = logging.getLogger(__name__)

GROUP_LIMIT: Final = 512
"""Requests that share one transaction at the most."""


class _Waiting:
    """One request's events while they wait for their commit, and what became of them."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self.settled = False
        self.error: JournalError | None = None
        self.called = threading.Event()


class Publisher:
    """Accepts trades: those that wait together share one transaction and one sync.

    Whoever finds nobody at work leads: it commits all that wait, itself among them, and calls the first of those
    that came meanwhile to lead the next group.
    """

    def __init__(self, open_journal: Callable[[], Journal], open_sender: Callable[[], Sender]) -> None:
        """Keep how to open the journal and the sender; both open with the first trade."""
        self._connection = Connection(open_journal)
        self._open_sender = open_sender
        self._sender: Sender | None = None
        self._queue: deque[_Waiting] = deque()
        self._led = False
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def accept(self, trades: Sequence[Trade]) -> list[Event]:
        """Write trades to the journal, all or none, then publish them; gives the accepted events.

        When this returns they are on the disk. Raises JournalError when none of them is.
        """
        moment = write_instant(now())
        waiting = _Waiting([Event(0, str(uuid7()), "", moment, t.ts, t.symbol, t.side, t.price, t.qty) for t in trades])
        with self._lock:
            self._queue.append(waiting)
            leads, self._led = not self._led, True
        if not leads:
            waiting.called.wait()
        if not waiting.settled:
            self._lead()
        if waiting.error is not None:
            raise JournalError(waiting.error.reason, waiting.error.detail) from waiting.error
        return waiting.events

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
        accepted: list[Event] = []
        try:
            accepted = leave_loop(partial(self._append, [event for waiting in group for event in waiting.events]))
        except JournalError as journal_error:
            error = journal_error
        finally:
            settled = iter(accepted)
            for waiting in group:
                waiting.error = None if accepted else error
                waiting.events = [next(settled) for _ in waiting.events] if accepted else []
                waiting.settled = True
                waiting.called.set()
        self._send(accepted)

    def _append(self, events: list[Event]) -> list[Event]:
        def append(journal: Journal) -> list[Event]:
            seqs = journal.append(events)
            return [
                msgspec.structs.replace(event, seq=seq, origin=journal.origin)
                for event, seq in zip(events, seqs, strict=True)
            ]

        return self._connection.ask(append)

    def _send(self, events: list[Event]) -> None:
        if not events:
            return
        try:
            if self._sender is None:
                self._sender = self._open_sender()
        except AddressError as error:
            # A lost hint costs nothing but time: the sidecar reads the journal.
            _log.warning("hint lost", extra={"reason": error.reason, "detail": error.detail, "seq": events[-1].seq})
        else:
            self._sender.send(wire.encode_message(events))

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


def init_app(app: Flask) -> None:
    """Give the application a publisher, opened in each process that accepts a trade."""
    settings: Settings = app.config["SETTINGS"]
    app.extensions["publisher"] = PerProcess(
        lambda: Publisher(
            open_journal=partial(Journal, settings.journal_path, settings.journal_sync),
            open_sender=partial(Sender, settings.webapp_zmq_addr),
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

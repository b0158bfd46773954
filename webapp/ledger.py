"""The ledger: this worker's look-ups in the journal, apart from the publisher's writes."""

import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar, cast

from flask import Flask, current_app

from tape.connection import Connection
from tape.event import Event
from tape.journal import Journal
from tape.process import PerProcess
from tape.settings import Settings
from webapp.loop import leave_loop

T = TypeVar("T")


class Ledger:
    """Reads accepted events through a connection of its own, one look-up at a time."""

    def __init__(self, open_journal: Callable[[], Journal]) -> None:
        """Keep how to open the journal; it opens with the first look-up."""
        self._connection = Connection(open_journal)
        self._turn = threading.Lock()

    def find(self, event_id: str) -> Event | None:
        """Find the event with this id. Raises JournalError."""
        return self._ask(lambda journal: journal.find(event_id))

    def select(
        self, *, limit: int, after: int | None = None, symbol: str | None = None, side: str | None = None
    ) -> list[Event]:
        """Select events as ``Journal.select`` does. Raises JournalError."""
        return self._ask(lambda journal: journal.select(limit=limit, after=after, symbol=symbol, side=side))

    def _ask(self, question: Callable[[Journal], T]) -> T:
        with self._turn:
            return leave_loop(partial(self._connection.ask, question))


def init_app(app: Flask) -> None:
    """Give the application a ledger, opened in each process that looks something up."""
    settings: Settings = app.config["SETTINGS"]
    app.extensions["ledger"] = PerProcess(lambda: Ledger(partial(Journal, settings.journal_path)))


def current_ledger() -> Ledger:
    """Give this process's ledger."""
    return cast("PerProcess[Ledger]", current_app.extensions["ledger"]).get()

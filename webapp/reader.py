"""The ledger: this worker's look-ups in the journal, apart from the publisher's writes."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from flask import Flask, current_app

from common.event import Event
from common.journal.connection import Connection, Latch
from common.journal.store import Journal
from common.process import PerProcess
from common.settings import Settings
from webapp.concurrency import run_in_threadpool

T = TypeVar("T")


class JournalReader:
    """Reads accepted events through a connection of its own, one look-up at a time."""

    def __init__(self, open_journal: Callable[[], Journal], latch: Latch | None = None, *, rests: bool = False) -> None:
        """Keep how to open the journal; it opens with the first look-up.

        With ``rests`` it pauses after each look-up for as long as that took: for bulk work, whose clients may ask
        without end, so that at least half of the time is left to everything else.
        """
        self._connection = Connection(open_journal, latch)
        self._rests = rests
        self._turn = threading.Lock()

    def find(self, event_id: str) -> Event | None:
        """Find the event with this id. Raises JournalError."""
        return self.ask(lambda journal: journal.find(event_id))

    def select(self, **wanted: Any) -> list[Event]:  # noqa: ANN401 - they are the filters of Journal.select
        """Select events as ``Journal.select`` does. Raises JournalError."""
        return self.ask(lambda journal: journal.select(**wanted))

    def last_seq(self) -> int:
        """Tell the newest seq. Raises JournalError."""
        return self.ask(Journal.last_seq)

    def ask(self, question: Callable[[Journal], T]) -> T:
        """Put a question to the journal, off the event loop. Raises JournalError."""
        with self._turn:
            began = time.monotonic()
            answer = run_in_threadpool(partial(self._connection.ask, question))
            if self._rests:
                time.sleep(time.monotonic() - began)
        if self._rests:
            # A lock is not fair by itself: without this, one download would take every turn.
            time.sleep(0)
        return answer


def init_app(app: Flask) -> None:
    """Give the application its ledgers, opened in each process that looks something up.

    Bulk work has one of its own: histories of the feed, downloads, and searches that no index serves.
    """
    settings: Settings = app.config["SETTINGS"]
    open_journal = partial(Journal, settings.journal_path)
    # The master opens no journal, so each worker begins with a clear one.
    latch = app.extensions["latch"] = Latch()
    app.extensions["ledger"] = PerProcess(lambda: JournalReader(open_journal, latch))
    app.extensions["bulk_ledger"] = PerProcess(lambda: JournalReader(open_journal, latch, rests=True))


def current_reader() -> JournalReader:
    """Give this process's ledger."""
    return cast("PerProcess[JournalReader]", current_app.extensions["ledger"]).get()

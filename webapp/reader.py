"""The journal reader: look-ups of this worker, on connections apart from the publisher's."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from common.event import Event
from common.journal.store import Journal
from webapp.concurrency import run_in_threadpool

T = TypeVar("T")


class JournalReader:
    """Reads accepted events on a connection of its own, one look-up at a time."""

    def __init__(self, journal: Journal, *, throttled: bool = False) -> None:
        """Keep the journal, which opens with the first look-up.

        A ``throttled`` reader pauses after each look-up for as long as the look-up took. It is for bulk work, whose
        clients may ask without end, and leaves at least half of the time to everything else.
        """
        self._journal = journal
        self._throttled = throttled
        self._lock = threading.Lock()

    def find(self, event_id: str) -> Event | None:
        """Return the event with this id, or None. Raises JournalError."""
        return self.ask(lambda journal: journal.find(event_id))

    def select(self, **wanted: Any) -> list[Event]:  # noqa: ANN401 - the filters of Journal.select
        """Select events as ``Journal.select`` does. Raises JournalError."""
        return self.ask(lambda journal: journal.select(**wanted))

    def total(self, first: int, last: int, **filters: str | None) -> list[tuple[str, str, str, str]]:
        """Read what ``Journal.total`` returns. Raises JournalError."""
        return self.ask(lambda journal: journal.total(first, last, **filters))

    def last_seq(self) -> int:
        """Return the newest seq. Raises JournalError."""
        return self.ask(Journal.last_seq)

    def ask(self, question: Callable[[Journal], T]) -> T:
        """Call ``question`` with the journal, in the thread pool, and return its answer. Raises JournalError."""
        with self._lock:
            began = time.monotonic()
            answer = run_in_threadpool(partial(question, self._journal))
            if self._throttled:
                time.sleep(time.monotonic() - began)
        if self._throttled:
            # Locks are not fair: without this, one download could keep the lock from all others.
            time.sleep(0)
        return answer

"""A connection to the journal that opens with its first use and is dropped when it fails."""

import logging
from collections.abc import Callable
from typing import Final, TypeVar

from common.errors import JournalError
from common.journal.store import Journal

T = TypeVar("T")

_log = logging.getLogger(__name__)


FINAL: Final = frozenset({"replaced", "corrupt"})
"""Failures after which a journal that can be opened again may be another one, or wrong elsewhere."""


class Latch:
    """The first failure that only a restart mends; the connections of a process that share it stay closed after it."""

    def __init__(self) -> None:
        """Begin without a failure."""
        self._error: JournalError | None = None

    def check(self) -> None:
        """Raise JournalError after such a failure."""
        if self._error is not None:
            raise JournalError(self._error.reason, self._error.detail)

    def note(self, error: JournalError) -> None:
        """Keep the first failure of FINAL."""
        if error.reason in FINAL and self._error is None:
            self._error = error
            _log.error("journal given up until a restart", extra={"reason": error.reason, "detail": error.detail})


class Connection:
    """Asks the journal one thing at a time; it belongs to one thread, or to one lock."""

    def __init__(self, open_journal: Callable[[], Journal], latch: Latch | None = None) -> None:
        """Keep how to open the journal; nothing is opened yet. Without a ``latch`` every failure may pass."""
        self._open_journal = open_journal
        self._latch = latch
        self._journal: Journal | None = None

    def ask(self, question: Callable[[Journal], T]) -> T:
        """Put a question to the journal. Raises JournalError; the next question then starts on a fresh connection."""
        try:
            if self._latch is not None:
                self._latch.check()
            if self._journal is None:
                self._journal = self._open_journal()
            return question(self._journal)
        except JournalError as error:
            # A fresh connection sees a journal that was mended or put back.
            self.close()
            if self._latch is not None:
                self._latch.note(error)
            raise

    def close(self) -> None:
        """Close the connection, if one is open; may be called twice."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

"""A connection to the journal that opens on its first use and is closed when it fails."""

import logging
from collections.abc import Callable
from typing import Final, TypeVar

from common.errors import JournalError
from common.journal.store import Journal

T = TypeVar("T")

_log = logging.getLogger(__name__)


FINAL: Final = frozenset({"replaced", "corrupt"})
"""Reasons after which a journal that opens again may be another one, or be damaged elsewhere."""


class Latch:
    """The first failure that only a restart clears; the connections that share it stay closed from then on."""

    def __init__(self) -> None:
        """Start without a failure."""
        self._error: JournalError | None = None

    def check(self) -> None:
        """Raise JournalError if there was such a failure."""
        if self._error is not None:
            raise JournalError(self._error.reason, self._error.detail)

    def note(self, error: JournalError) -> None:
        """Keep the first failure whose reason is in FINAL."""
        if error.reason in FINAL and self._error is None:
            self._error = error
            _log.error("journal given up until a restart", extra={"reason": error.reason, "detail": error.detail})


class Connection:
    """A connection that is opened when needed; it belongs to one thread, or to one lock."""

    def __init__(self, open_journal: Callable[[], Journal], latch: Latch | None = None) -> None:
        """Keep the function that opens the journal. Without a ``latch`` every failure is temporary."""
        self._open_journal = open_journal
        self._latch = latch
        self._journal: Journal | None = None

    def ask(self, question: Callable[[Journal], T]) -> T:
        """Call ``question`` with the open journal and return its answer.

        Raises JournalError; the next call then opens a new connection.
        """
        try:
            if self._latch is not None:
                self._latch.check()
            if self._journal is None:
                self._journal = self._open_journal()
            return question(self._journal)
        except JournalError as error:
            # A new connection sees a journal that was repaired or put back.
            self.close()
            if self._latch is not None:
                self._latch.note(error)
            raise

    def close(self) -> None:
        """Close the connection, if one is open; may be called twice."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

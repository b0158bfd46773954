"""A connection to the journal that opens with its first use and is dropped when it fails."""

from collections.abc import Callable
from typing import TypeVar

from tape.errors import JournalError
from tape.journal import Journal

T = TypeVar("T")


class Connection:
    """Asks the journal one thing at a time; it belongs to one thread, or to one lock."""

    def __init__(self, open_journal: Callable[[], Journal]) -> None:
        """Keep how to open the journal; nothing is opened yet."""
        self._open_journal = open_journal
        self._journal: Journal | None = None

    def ask(self, question: Callable[[Journal], T]) -> T:
        """Put a question to the journal. Raises JournalError; the next question then starts on a fresh connection."""
        if self._journal is None:
            self._journal = self._open_journal()
        try:
            return question(self._journal)
        except JournalError:
            # A fresh connection sees a journal that was mended or put back.
            self.close()
            raise

    def close(self) -> None:
        """Close the connection, if one is open; may be called twice."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

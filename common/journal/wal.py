"""The write-ahead log: restarted when it is long; SQLite alone restarts it only in a pause of readers and writers."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from common.errors import JournalError
from common.journal.file import Database, begin_writing, journal_errors

WAL_BYTES: Final = 64 * 1024 * 1024
"""The size from which the log is begun again, and to which its file is cut by the next commit."""

WAIT_SECONDS: Final = 0.2
"""How long another writer, and then readers, are waited for."""


class WriteAheadLog:
    """The log of one connection that writes.

    SQLite begins the log again when a commit finds that all of it was copied into the journal and that no reader needs
    it. Beside another process that commits one batch after the other no commit finds that, and the log, with the
    index of it that each process has in memory, grows until there is a pause.
    """

    def __init__(self, path: Path) -> None:
        """Keep the path of the journal."""
        self._path = path
        self._file = Path(f"{path}-wal")
        self._limit = WAL_BYTES

    def restart_if_long(self, db: Database, busy_seconds: float) -> None:
        """Begin the log again, after a commit, if it is long; ``busy_seconds`` is how long ``db`` waits otherwise.

        It waits for readers, and keeps other writers waiting. When readers keep the log, it is tried again once the log
        has grown by a quarter, so that one who stays for long delays ever fewer commits.
        """
        # What was committed stays so, whatever happens here.
        with suppress(JournalError), journal_errors(self._path):
            size = self._measure()
            if size <= WAL_BYTES:
                # Another connection, or SQLite, has begun it again.
                self._limit = WAL_BYTES
            if size <= self._limit:
                return
            self._limit = size + size // 4
            try:
                if self._restart(db, time.monotonic() + WAIT_SECONDS):
                    self._limit = WAL_BYTES
            finally:
                db.execute(f"PRAGMA busy_timeout = {round(busy_seconds * 1000)}")

    def _restart(self, db: Database, deadline: float) -> bool:
        while True:
            # SQLite's own waiting finds the lock free of another writer too seldom.
            begin_writing(db, WAIT_SECONDS)
            db.execute("ROLLBACK")
            if self._measure() <= WAL_BYTES:
                # Another connection was first.
                return True
            is_busy, logged, _ = db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            # It has waited for readers, but does not wait while another process copies the log, as after each commit.
            if not is_busy or logged >= 0 or time.monotonic() > deadline:
                return not is_busy

    def _measure(self) -> int:
        return self._file.stat().st_size

"""A connection to the journal's file: it opens at its first use, and again after a failure; its transactions."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from common.errors import JournalError
from common.journal.file import Database, begin_writing, journal_errors
from common.journal.identity import JournalFiles, identify
from common.journal.opening import open_file
from common.journal.schema import SCHEMA_VERSION
from common.journal.wal import WriteAheadLog
from common.wire.transport import KeyPair

_log = logging.getLogger(__name__)


READ_CACHE_KB: Final = 512
"""Pages that a connection keeps while it only reads. The next commit of another process makes them useless."""

WRITE_CACHE_KB: Final = 2_000
"""Pages that a connection keeps once it writes: what does not fit is written to the log before the commit."""

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


class Opened(NamedTuple):
    """A file that is open, with what identifies it and its journal."""

    db: Database
    files: JournalFiles
    journal_id: str
    key_pair: KeyPair


class Connection:
    """Opens the file when it is needed; it belongs to one thread, or to one lock."""

    def __init__(self, path: Path, sync: str, busy_seconds: float, latch: Latch | None) -> None:
        """Keep what ``Journal`` was given; nothing is opened yet."""
        self.times_opened = 0
        self._path = path
        self._sync = sync
        self._busy_seconds = busy_seconds
        self._latch = latch
        self._log = WriteAheadLog(path)
        self._cache_kb = READ_CACHE_KB
        self._opened: Opened | None = None

    @contextmanager
    def reading(self) -> Iterator[Opened]:
        """Use the file, which is opened if it is not open, and closed by an error. Raises JournalError."""
        try:
            if self._latch is not None:
                self._latch.check()
            with journal_errors(self._path):
                self._opened = opened = self._opened or self._open()
                if identify(self._path) != opened.files:
                    self._save(opened)
                    raise self._lost(opened)
                yield opened
        except JournalError as error:
            # A new connection sees a journal that was repaired or put back.
            self.close()
            if self._latch is not None:
                self._latch.note(error)
            raise

    def _open(self) -> Opened:
        db = open_file(self._path, self._busy_seconds)
        try:
            db.execute(f"PRAGMA synchronous = {self._sync.upper()}")
            db.execute(f"PRAGMA cache_size = -{self._cache_kb}")
            journal_id, *keys = db.execute("SELECT origin, public_key, secret_key FROM journal").fetchone()
            # SQLite opens the log on the first read, and keeps it open.
            opened = Opened(db, identify(self._path), journal_id, KeyPair(*keys))
        except BaseException:
            db.close()
            raise
        self.times_opened += 1
        return opened

    # What a commit promises: in WAL mode COMMIT appends the trades to the -wal file and, with synchronous=FULL, syncs
    # it before it returns. From then on they survive kill -9 of any process and power loss, though they reach the main
    # file only at a checkpoint. With synchronous=NORMAL the log is synced at checkpoints only: they survive kill -9.
    # A crash before COMMIT returns leaves all trades of the transaction or none. There is one writer at a time, so seqs
    # (AUTOINCREMENT) become visible in ascending order, and no two accepted trades ever share one.
    # SQLite promises this for the files it has open. When one was removed or replaced, a synced commit would be lost
    # with the last process that has it open, so such a commit counts only if a checkpoint copies all of the log.
    @contextmanager
    def writing(self) -> Iterator[Opened]:
        """Write what the block writes in one synced transaction, or nothing. Raises JournalError."""
        with self.reading() as opened:
            if self._cache_kb != WRITE_CACHE_KB:
                self._cache_kb = WRITE_CACHE_KB
                opened.db.execute(f"PRAGMA cache_size = -{WRITE_CACHE_KB}")
            begin_writing(opened.db, self._busy_seconds)
            try:
                self._check_journal(opened)
                yield opened
                opened.db.execute("COMMIT")
            except BaseException:
                # SQLite rolls some failed transactions back by itself.
                if opened.db.in_transaction:
                    opened.db.execute("ROLLBACK")
                raise
            if identify(self._path) != opened.files and not self._save(opened):
                raise self._lost(opened)
            self._log.restart_if_long(opened.db, self._busy_seconds)

    @contextmanager
    def read_transaction(self) -> Iterator[None]:
        """Let every read in the block see the journal as of the first one. Raises JournalError."""
        with self.reading() as opened:
            opened.db.execute("BEGIN")
            try:
                yield
            finally:
                # A read that failed has closed it.
                if self._opened is opened:
                    opened.db.execute("ROLLBACK")

    def _check_journal(self, opened: Opened) -> None:
        # The file keeps its inode when another journal is written into it.
        found = opened.db.execute("SELECT origin, user_version FROM journal, pragma_user_version").fetchone()
        if found != (opened.journal_id, SCHEMA_VERSION):
            raise JournalError("replaced", f"journal {self._path} was written over while it was open")

    def _lost(self, opened: Opened) -> JournalError:
        lost = opened.files.describe_loss(identify(self._path))
        return JournalError("replaced", f"journal {self._path}: {lost} was removed or replaced while it was open")

    def _save(self, opened: Opened) -> bool:
        """Copy the log into the journal, and return whether all of it was copied.

        A removed file lives until the last process closes it, and trades written to it are lost then.
        """
        now = identify(self._path)
        # Another process with a new -shm would not see what this one copies.
        if now.journal != opened.files.journal or now.shm not in {None, opened.files.shm}:
            return False
        try:
            with journal_errors(self._path):
                _, logged, copied = opened.db.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        except JournalError:
            return False
        return bool(logged == copied)

    def close(self) -> None:
        """Close the file, if it is open; may be called twice."""
        if self._opened is not None:
            self._opened.db.close()
            self._opened = None

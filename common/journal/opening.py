"""Opening, creating, backing up and restoring a journal."""

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from common.errors import JournalError
from common.journal import wal
from common.journal.file import Database, connect, create, journal_errors, read_version
from common.journal.identity import check_no_link, check_no_log_was_removed, tighten_all
from common.journal.migrations import migrate, renew_key_pair, take_steps
from common.journal.schema import FILE_PRAGMAS, HAS_CREDENTIALS, SCHEMA_VERSION, list_statements

OPEN_SECONDS: Final = 2.0


def open_file(path: Path, busy_seconds: float) -> Database:
    """Open the journal's file, creating it if there is none, and migrating it if it is of an earlier version.

    Raises JournalError when it is not a journal, is newer than this program, or is open in an earlier program.
    """
    with journal_errors(path):
        check_no_link(path)
        if not path.exists():
            _create(path)
        # SQLite gives a new log the mode of its journal.
        tighten_all(path)
        check_no_log_was_removed(path)
        db = connect(path, busy_seconds)
        try:
            if read_version(db, path) < SCHEMA_VERSION:
                # A migration must be the only connection.
                db.close()
                migrate(path)
                db = connect(path, busy_seconds)
            db.execute(f"PRAGMA journal_size_limit = {wal.WAL_BYTES}")
        except BaseException:
            db.close()
            raise
    return db


def back_up(path: Path, copy: Path) -> int:
    """Copy a journal, as of one point in time, to a path where no file exists, and return the copy's last seq.

    A journal of an earlier version is copied as it is, also while its program runs. Raises JournalError.
    """
    last_seq = 0

    def fill(draft: Database) -> None:
        nonlocal last_seq
        db.backup(draft)
        (last_seq,) = draft.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()

    check_no_link(path)
    with _opened(path) as db, journal_errors(copy):
        create(copy, fill)
    return last_seq


class Inspection(NamedTuple):
    """What a journal has: its schema version, its last seq, and whether a token or a user was made."""

    version: int
    last_seq: int
    has_credentials: bool


def inspect(path: Path, *, whole: bool = False) -> Inspection:
    """Look into a journal, which is neither created nor changed.

    With ``whole`` each page of it is read, so that damage is found. Raises JournalError.
    """
    check_no_link(path)
    with journal_errors(path), _opened(path) as db:
        fault: str = db.execute("PRAGMA quick_check(1)").fetchone()[0] if whole else "ok"
        if fault != "ok":
            raise JournalError("corrupt", f"journal {path}: {' '.join(fault.split())}")
        version = read_version(db, path)
        last_seq: int = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()[0]
        # Tokens and users came with version 2.
        locked = version > 1 and db.execute(HAS_CREDENTIALS).fetchone() is not None
    return Inspection(version, last_seq, locked)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Database]:
    """Open a journal of any version that this program knows, without migrating it."""
    with journal_errors(path):
        if not path.exists():
            raise JournalError("unopenable", f"there is no journal {path}")
        check_no_log_was_removed(path)
        with contextlib.closing(connect(path, OPEN_SECONDS)) as db:
            read_version(db, path)
            yield db


def restore(copy: Path, path: Path, new_journal_id: Callable[[], uuid.UUID] = uuid.uuid4) -> None:
    """Create the journal at ``path``, where no file exists, from a copy of this version or an earlier one.

    It gets a new journal_id and key pair: it may reuse seqs that the original gave to later trades, and copies of the
    original's secret may be anywhere. Raises JournalError.
    """

    def fill(draft: Database) -> None:
        db.backup(draft)
        draft.execute("BEGIN")
        take_steps(draft, read_version(draft, copy))
        _set_identity(draft, new_journal_id())
        draft.execute("COMMIT")

    with _opened(copy) as db, journal_errors(path):
        create(path, fill)


def _create(path: Path, new_journal_id: Callable[[], uuid.UUID] = uuid.uuid4) -> None:
    def fill(draft: Database) -> None:
        draft.executescript(FILE_PRAGMAS)
        draft.execute("BEGIN")
        for statement in list_statements(0):
            draft.execute(statement)
        draft.execute("INSERT INTO journal (origin) VALUES ('')")
        _set_identity(draft, new_journal_id())
        draft.execute("COMMIT")

    # Of two processes that start at once, one creates the journal for both.
    with contextlib.suppress(FileExistsError):
        create(path, fill)


def _set_identity(db: Database, journal_id: uuid.UUID) -> None:
    db.execute("UPDATE journal SET origin = ?", (journal_id.hex,))
    renew_key_pair(db)

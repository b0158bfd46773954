"""The journal's file: how it is opened and created, how its errors are named, and how it is recognised."""

import contextlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from common.errors import JournalError
from common.journal.schema import APPLICATION_ID, SCHEMA_VERSION
from common.paths import DRAFT
from common.private_files import sync_folder

Database = sqlite3.Connection

_TRY_MS: Final = 2
"""SQLite waits 1 ms twice."""

_REASONS = {
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_READONLY: "readonly",
    sqlite3.SQLITE_IOERR: "io",
    sqlite3.SQLITE_CANTOPEN: "unopenable",
    sqlite3.SQLITE_CORRUPT: "corrupt",
    sqlite3.SQLITE_NOTADB: "corrupt",
}
_OTHER_REASONS: Final = ("foreign", "symlink", "version", "in_use", "replaced", "failed", "slow")
JOURNAL_REASONS: Final = (*dict.fromkeys(_REASONS.values()), *_OTHER_REASONS)
"""Every ``reason`` of a JournalError."""


@contextlib.contextmanager
def journal_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise into JournalError, with its reason."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        reason = _blame_folder(path) if code == sqlite3.SQLITE_CANTOPEN else _REASONS.get(code, "failed")
        raise JournalError(reason, f"journal {path}: {error}") from error
    except OSError as error:
        raise JournalError(_blame_folder(path), f"journal {path}: {error.strerror}") from error


def _blame_folder(path: Path) -> str:
    return "readonly" if path.parent.exists() and not os.access(path.parent, os.W_OK) else "unopenable"


def connect(path: Path, busy_seconds: float) -> Database:
    """Open an existing file, whatever it holds."""
    address = f"file:{_quoted(path)}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)


def begin_writing(db: Database, busy_seconds: float) -> None:
    """Begin a transaction that writes, once no other connection does; raises sqlite3's error after ``busy_seconds``.

    SQLite's own waiting grows to 100 ms between two tries. Beside a process that commits one batch after the other, it
    finds the lock free in very few of them, and a single trade waits for seconds.
    """
    deadline = time.monotonic() + busy_seconds
    db.execute(f"PRAGMA busy_timeout = {_TRY_MS}")
    try:
        while True:
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                    raise
            else:
                return
    finally:
        db.execute(f"PRAGMA busy_timeout = {round(busy_seconds * 1000)}")


def read_version(db: Database, path: Path) -> int:
    """Read the schema version of a journal. Raises JournalError when it is none, or newer than this program."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        raise JournalError("foreign", f"{path} is a SQLite file, but not a journal of trades")
    if not 1 <= version <= SCHEMA_VERSION:
        raise JournalError(
            "version", f"journal {path} has schema {version}, newer than this program; expected 1 to {SCHEMA_VERSION}"
        )
    return version


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def create(path: Path, fill: Callable[[Database], None]) -> None:
    """Write a whole file under a temporary name, then link it to ``path``. Raises FileExistsError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Threads that create the same file at once need drafts of their own.
    descriptor, name = tempfile.mkstemp(DRAFT, f"{path.name}.", path.parent)
    os.close(descriptor)
    draft = Path(name)
    try:
        with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as db:
            fill(db)
        os.link(draft, path)
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)

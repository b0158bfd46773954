"""The journal's file: its schema, how it is made, and how it is told from any other file."""

import contextlib
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tape.errors import JournalError

SCHEMA_VERSION: Final = 1
APPLICATION_ID: Final = 0x54415045
"""Marks a SQLite file as a journal: "TAPE" in ASCII."""

WAL_BYTES: Final = 64 * 1024 * 1024
"""What the write-ahead log is cut back to once it has been copied into the journal."""

_SCHEMA = f"""
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE journal (origin TEXT NOT NULL, base BLOB, room BLOB);
CREATE TABLE trades (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    accepted_at TEXT NOT NULL,
    ts TEXT NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    price TEXT NOT NULL,
    qty TEXT NOT NULL
);
CREATE INDEX trades_symbol ON trades (symbol);
CREATE TABLE keys (
    client TEXT NOT NULL,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    seq INTEGER NOT NULL,
    used_at TEXT NOT NULL,
    PRIMARY KEY (client, name)
) WITHOUT ROWID;
CREATE INDEX keys_used_at ON keys (used_at);
CREATE TABLE facts (worker TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
"""

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
JOURNAL_REASONS: Final = (*dict.fromkeys(_REASONS.values()), "foreign", "version", "replaced", "failed")
"""Every ``reason`` of a JournalError."""


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
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


def open_file(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """Open the journal's file, making it first if there is none. Raises JournalError when it is no journal."""
    with translated(path):
        if not path.exists():
            _create(path)
        address = f"file:{_quoted(path)}?mode=rw"
        db = sqlite3.connect(address, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
        try:
            _check(db, path)
            db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        except BaseException:
            db.close()
            raise
    return db


def identify(path: Path) -> tuple[int, int] | None:
    """Tell which file stands at a path, by device and inode; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _check(db: sqlite3.Connection, path: Path) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise JournalError("foreign", f"{path} is a SQLite file, but not a journal of trades")
    if version != SCHEMA_VERSION:
        raise JournalError("version", f"journal {path} has schema {version}; expected {SCHEMA_VERSION}")


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def back_up(db: sqlite3.Connection, path: Path) -> None:
    """Copy an open journal, as it stands at one moment, to a path where no file is. Raises JournalError."""
    with translated(path):
        _place(path, db.backup)


def restore(copy: Path, path: Path, new_origin: Callable[[], uuid.UUID] = uuid.uuid4) -> None:
    """Make a copy the journal at a path where no file is. Raises JournalError.

    It gets an origin of its own: it may give numbers anew that its model gave to later trades.
    """
    with translated(copy):
        if not copy.exists():
            raise JournalError("unopenable", f"there is no copy {copy}")
    db = open_file(copy, 0)

    def fill(draft: sqlite3.Connection) -> None:
        db.backup(draft)
        draft.execute("UPDATE journal SET origin = ?", (new_origin().hex,))

    try:
        with translated(path):
            _place(path, fill)
    finally:
        db.close()


def _create(path: Path, new_origin: Callable[[], uuid.UUID] = uuid.uuid4) -> None:
    def fill(draft: sqlite3.Connection) -> None:
        draft.executescript(_SCHEMA)
        draft.execute("INSERT INTO journal (origin) VALUES (?)", (new_origin().hex,))

    # Of two processes that start at once, one makes the journal of both.
    with contextlib.suppress(FileExistsError):
        _place(path, fill)


def _place(path: Path, fill: Callable[[sqlite3.Connection], None]) -> None:
    """Make the whole file beside its place, and link it there. Raises FileExistsError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    try:
        with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as db:
            fill(db)
        os.link(draft, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        draft.unlink(missing_ok=True)

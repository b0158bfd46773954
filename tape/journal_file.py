"""The journal's file: its schema, how it is made, and how it is told from any other file."""

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
CREATE TABLE journal (origin TEXT NOT NULL, base BLOB);
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


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system raise into JournalError, with its reason."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        reason = _REASONS.get(code, "failed")
        raise JournalError(reason, f"journal {path}: {error}") from error
    except OSError as error:
        raise JournalError("unopenable", f"journal {path}: {error.strerror}") from error


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


def _create(path: Path, new_origin: Callable[[], uuid.UUID] = uuid.uuid4) -> None:
    """Make the whole journal beside its place and link it there: two processes that start at once share one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    try:
        db = sqlite3.connect(draft, isolation_level=None)
        try:
            db.executescript(_SCHEMA)
            db.execute("INSERT INTO journal (origin) VALUES (?)", (new_origin().hex,))
        finally:
            db.close()
        os.link(draft, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)

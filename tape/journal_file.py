"""The journal's file: its schema, how it is made, and how it is told from any other file."""

import contextlib
import fcntl
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tape.errors import JournalError
from tape.holders import find_holders
from tape.journal_schema import APPLICATION_ID, FILE_PRAGMAS, SCHEMA_VERSION, list_statements
from tape.transport import make_key_pair

Database = sqlite3.Connection

OPEN_SECONDS: Final = 2.0
FOLDER_SECONDS: Final = 10.0
FOLDER_PAUSE: Final = 0.02
MIGRATION_TRIES: Final = 10
MIGRATION_TRY_SECONDS: Final = 0.2

WAL_BYTES: Final = 64 * 1024 * 1024
"""What the write-ahead log is cut back to once it has been copied into the journal."""

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
JOURNAL_REASONS: Final = (*dict.fromkeys(_REASONS.values()), "foreign", "version", "in_use", "replaced", "failed")
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
    """Open the journal's file, making it first if there is none, and migrating it if it is of an earlier version.

    Raises JournalError when it is no journal, is newer than this program, or is open in an earlier program.
    """
    with translated(path):
        if not path.exists():
            _create(path)
        with contextlib.closing(_connect(path, busy_seconds)) as db:
            version = read_version(db, path)
        if version < SCHEMA_VERSION:
            migrate(path)
        db = _connect(path, busy_seconds)
        try:
            db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        except BaseException:
            db.close()
            raise
    return db


def _connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    address = f"file:{_quoted(path)}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)


def migrate(path: Path) -> None:
    """Bring an older journal to this program's version, in one transaction and alone with the file.

    Raises JournalError when a process of the earlier version still has it open.
    """
    with _locked_folder(path.parent):
        with contextlib.closing(_connect(path, MIGRATION_TRY_SECONDS)) as db:
            if read_version(db, path) == SCHEMA_VERSION:
                return
        # An earlier program would go on writing by its own rules. Others of this one only look at the version.
        found = []
        for _ in range(MIGRATION_TRIES):
            if _migrate_alone(path):
                return
            found.append(find_holders(path.with_name(f"{path.name}-shm")))
    who = ", ".join(map(str, sorted(set.intersection(*found)))) or "a process that cannot be seen from here"
    raise JournalError("in_use", f"journal {path} is of an earlier version and still open in {who}; stop it first")


def _migrate_alone(path: Path) -> bool:
    with contextlib.closing(_connect(path, MIGRATION_TRY_SECONDS)) as db:
        # SQLite then gives the lock only while no other connection exists.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        try:
            db.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if _REASONS.get(error.sqlite_errorcode & 0xFF) == "locked":
                return False
            raise
        take_steps(db, read_version(db, path))
        db.execute("COMMIT")
    return True


@contextlib.contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    # Two that wait for SQLite's exclusive lock would wait for each other. The lock is not on the journal itself:
    # closing a second descriptor of that file would give up SQLite's own locks.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        until = time.monotonic() + FOLDER_SECONDS
        while not _try_lock(descriptor):
            if time.monotonic() > until:
                raise JournalError("locked", f"another process has been migrating in {folder} for {FOLDER_SECONDS} s")
            time.sleep(FOLDER_PAUSE)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def take_steps(db: sqlite3.Connection, version: int) -> None:
    """Bring a journal from ``version`` to SCHEMA_VERSION, in the caller's transaction."""
    if version == SCHEMA_VERSION:
        return
    for statement in list_statements(version):
        db.execute(statement)
    pair = make_key_pair()
    db.execute("UPDATE journal SET public_key = ?, secret_key = ?", (pair.public, pair.secret))


def identify(path: Path) -> tuple[int, int] | None:
    """Tell which file stands at a path, by device and inode; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def read_version(db: sqlite3.Connection, path: Path) -> int:
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


def back_up(path: Path, copy: Path) -> int:
    """Copy a journal, as it stands at one moment, to a path where no file is, and give the copy's last seq.

    A journal of an earlier version is copied as it is, also while its program runs. Raises JournalError.
    """
    last_seq = 0

    def fill(draft: sqlite3.Connection) -> None:
        nonlocal last_seq
        db.backup(draft)
        (last_seq,) = draft.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()

    with _opened(path) as db, translated(copy):
        _place(copy, fill)
    return last_seq


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a journal of any version that this program knows, and leave it as it is."""
    with translated(path):
        if not path.exists():
            raise JournalError("unopenable", f"there is no journal {path}")
        with contextlib.closing(_connect(path, OPEN_SECONDS)) as db:
            read_version(db, path)
            yield db


def restore(copy: Path, path: Path, new_origin: Callable[[], uuid.UUID] = uuid.uuid4) -> None:
    """Make a copy, of this version or an earlier one, the journal at a path where no file is. Raises JournalError.

    It gets an origin and a key pair of its own: it may give numbers anew that its model gave to later trades, and
    copies of its model's secret may lie anywhere.
    """

    def fill(draft: sqlite3.Connection) -> None:
        db.backup(draft)
        draft.execute("BEGIN")
        take_steps(draft, read_version(draft, copy))
        _name(draft, new_origin())
        draft.execute("COMMIT")

    with _opened(copy) as db, translated(path):
        _place(path, fill)


def _create(path: Path, new_origin: Callable[[], uuid.UUID] = uuid.uuid4) -> None:
    def fill(draft: sqlite3.Connection) -> None:
        draft.executescript(FILE_PRAGMAS)
        draft.execute("BEGIN")
        for statement in list_statements(0):
            draft.execute(statement)
        draft.execute("INSERT INTO journal (origin) VALUES ('')")
        _name(draft, new_origin())
        draft.execute("COMMIT")

    # Of two processes that start at once, one makes the journal of both.
    with contextlib.suppress(FileExistsError):
        _place(path, fill)


def _name(db: sqlite3.Connection, origin: uuid.UUID) -> None:
    pair = make_key_pair()
    db.execute("UPDATE journal SET origin = ?, public_key = ?, secret_key = ?", (origin.hex, pair.public, pair.secret))


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

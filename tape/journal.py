"""The journal: accepted trades in a SQLite file, in the order of their commits. The commit is the acceptance."""

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from tape.errors import JournalError
from tape.event import Event

SCHEMA_VERSION: Final = 1
APPLICATION_ID: Final = 0x54415045
"""Marks a SQLite file as a journal: "TAPE" in ASCII."""

_SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE journal (origin TEXT NOT NULL);
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
"""
_SELECT = "SELECT seq, id, ?, accepted_at, ts, symbol, side, price, qty FROM trades"

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
JOURNAL_REASONS: Final = (*dict.fromkeys(_REASONS.values()), "foreign", "version", "failed")
"""Every ``reason`` of a JournalError."""


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        reason = _REASONS.get(code, "failed")
        raise JournalError(reason, f"journal {path}: {error}") from error
    except OSError as error:
        raise JournalError("unopenable", f"journal {path}: {error.strerror}") from error


class Journal:
    """One connection to a journal; it belongs to one thread, or to one lock."""

    def __init__(self, path: Path, sync: str = "full", busy_seconds: float = 2.0) -> None:
        """Open the journal at ``path``, making it first if there is none.

        ``sync`` is ``full`` (an accepted trade survives power loss) or ``normal`` (it survives kill -9 only);
        ``busy_seconds`` is how long a write waits for another writer. Raises JournalError.
        """
        self.path = path
        with _translated(path):
            if not path.exists():
                _create(path)
            self._db = sqlite3.connect(
                f"file:{_quoted(path)}?mode=rw",
                uri=True,
                timeout=busy_seconds,
                isolation_level=None,
                check_same_thread=False,
            )
        try:
            with _translated(path):
                self._check()
                self._db.execute(f"PRAGMA synchronous = {sync.upper()}")
                self.origin: str = self._db.execute("SELECT origin FROM journal").fetchone()[0]
        except JournalError:
            self.close()
            raise

    def _check(self) -> None:
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            raise JournalError("foreign", f"{self.path} is a SQLite file, but not a journal of trades")
        if version != SCHEMA_VERSION:
            raise JournalError("version", f"journal {self.path} has schema {version}; expected {SCHEMA_VERSION}")

    def append(self, events: Sequence[Event]) -> list[int]:
        """Write events, whose own ``seq`` is not looked at, in one synced transaction, and give their seqs.

        All are on the disk when this returns, or none is. Raises JournalError.
        """
        rows = [(e.id, e.accepted_at, e.ts, e.symbol, e.side, e.price, e.qty) for e in events]
        with _translated(self.path), self._write():
            self._db.executemany(
                "INSERT INTO trades (id, accepted_at, ts, symbol, side, price, qty) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
            )
            # One transaction hands out AUTOINCREMENT numbers without a hole, so the last one tells them all.
            (last,) = self._db.execute("SELECT last_insert_rowid()").fetchone()
        return list(range(last - len(rows) + 1, last + 1))

    def check_writable(self) -> None:
        """Take the write lock and give it back; raises JournalError when a trade could not be written now."""
        with _translated(self.path), self._write():
            self._db.execute("UPDATE journal SET origin = origin")

    @contextmanager
    def _write(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # SQLite ends some failed transactions by itself.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def read_after(self, seq: int, limit: int = 10_000) -> list[Event]:
        """Read up to ``limit`` events past ``seq``, oldest first. Raises JournalError."""
        return self._read(_SELECT + " WHERE seq > ? ORDER BY seq LIMIT ?", seq, limit)

    def last_seq(self) -> int:
        """Tell the newest seq ever given, 0 before the first. Raises JournalError."""
        with _translated(self.path):
            row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'trades'").fetchone()
        return row[0] if row else 0

    def find(self, event_id: str) -> Event | None:
        """Find the event with this id. Raises JournalError."""
        found = self._read(_SELECT + " WHERE id = ?", event_id)
        return found[0] if found else None

    def select(
        self, *, limit: int, after: int | None = None, symbol: str | None = None, side: str | None = None
    ) -> list[Event]:
        """Select events, oldest first: the first ``limit`` past seq ``after``, or the newest ``limit`` without it.

        Raises JournalError.
        """
        wanted = {"seq > ?": after, "symbol = ?": symbol, "side = ?": side}
        given = {test: value for test, value in wanted.items() if value is not None}
        where = f"WHERE {' AND '.join(given)}" if given else ""
        order = "DESC" if after is None else "ASC"
        query = f"{_SELECT} {where} ORDER BY seq {order} LIMIT ?"
        found = self._read(query, *given.values(), limit)
        return found if order == "ASC" else found[::-1]

    def _read(self, query: str, *values: object) -> list[Event]:
        with _translated(self.path):
            return [Event(*row) for row in self._db.execute(query, (self.origin, *values))]

    def close(self) -> None:
        """Close the connection; may be called twice."""
        self._db.close()

    def __enter__(self) -> Self:
        """Use the journal in a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close at the end of the block."""
        self.close()


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
            db.execute("INSERT INTO journal VALUES (?)", (new_origin().hex,))
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

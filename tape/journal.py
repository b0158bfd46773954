"""The journal: accepted trades in a SQLite file, in the order of their commits. The commit is the acceptance."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from tape.errors import JournalError
from tape.event import Event, Instant
from tape.journal_file import back_up, identify, open_file, translated
from tape.transport import KeyPair

_INSERT = "INSERT INTO trades (id, accepted_at, ts, symbol, side, price, qty) VALUES (?, ?, ?, ?, ?, ?, ?)"
_SELECT = "SELECT seq, id, ?, accepted_at, ts, symbol, side, price, qty FROM trades"

PROBE_BYTES: Final = 32 * 1024
"""More pages than a trade touches, in its table and its indexes."""


class Key(NamedTuple):
    """A client's name for one request: the same name with the same payload is the same trade, once."""

    client: str
    name: str
    payload: str


class Place(NamedTuple):
    """Where an event stands: ``fresh`` if it was written now; ``seq`` 0 if its key was used for another payload."""

    seq: int
    fresh: bool


class Room(NamedTuple):
    """Bytes: of the journal, free on its disk, and of the whole disk."""

    taken: int
    free: int
    whole: int


class Journal:
    """One connection to a journal; it belongs to one thread, or to one lock."""

    def __init__(self, path: Path, sync: str = "full", busy_seconds: float = 2.0) -> None:
        """Open the journal at ``path``, making it first if there is none.

        ``sync`` is ``full`` (an accepted trade survives power loss) or ``normal`` (it survives kill -9 only);
        ``busy_seconds`` is how long a write waits for another writer. Raises JournalError.
        """
        self.path = path
        self._db = open_file(path, busy_seconds)
        self._file = identify(path)
        try:
            with translated(path):
                self._db.execute(f"PRAGMA synchronous = {sync.upper()}")
                found = self._db.execute("SELECT origin, public_key, secret_key FROM journal").fetchone()
            self.origin: str = found[0]
            self.key_pair = KeyPair(found[1], found[2])
        except JournalError:
            self.close()
            raise

    def append(self, events: Sequence[Event]) -> list[int]:
        """Write events, whose own ``seq`` is not looked at, in one synced transaction, and give their seqs.

        All are on the disk when this returns, or none is. Raises JournalError.
        """
        return [place.seq for place in self.append_keyed([(event, None) for event in events], "")]

    def append_keyed(self, entries: Sequence[tuple[Event, Key | None]], keys_since: Instant) -> list[Place]:
        """Write events as ``append`` does, except those whose key was used at or after ``keys_since``.

        The place of such an event is that of its first use. Raises JournalError.
        """
        with self._write():
            return [self._place(event, key, keys_since) for event, key in entries]

    def _place(self, event: Event, key: Key | None, keys_since: Instant) -> Place:
        if key is not None:
            query = "SELECT payload, seq FROM keys WHERE client = ? AND name = ? AND used_at >= ?"
            used = self._db.execute(query, (key.client, key.name, keys_since)).fetchone()
            if used is not None:
                return Place(used[1] if used[0] == key.payload else 0, fresh=False)
        row = (event.id, event.accepted_at, event.ts, event.symbol, event.side, event.price, event.qty)
        seq = self._db.execute(_INSERT, row).lastrowid or 0
        if key is not None:
            self._db.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?)", (*key, seq, event.accepted_at))
        return Place(seq, fresh=True)

    def check_writable(self) -> None:
        """Write what takes the room of a trade; raises JournalError when a trade could not be written now."""
        with self._write():
            # SQLite does not write again what has not changed.
            self._db.execute("UPDATE journal SET room = randomblob(?)", (PROBE_BYTES,))

    @contextmanager
    def _write(self) -> Iterator[None]:
        with translated(self.path):
            self._check_place()
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # SQLite ends some failed transactions by itself.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _check_place(self) -> None:
        # An open file outlives its name: trades written to it would be lost with this process.
        if identify(self.path) != self._file:
            raise JournalError("replaced", f"journal {self.path} was removed or replaced while it was open")

    def read_after(self, seq: int, limit: int = 10_000) -> list[Event]:
        """Read up to ``limit`` events past ``seq``, oldest first. Raises JournalError."""
        return self._read(_SELECT + " WHERE seq > ? ORDER BY seq LIMIT ?", seq, limit)

    def read_times(self, seq: int, until: int, limit: int) -> list[tuple[int, Instant]]:
        """Read when up to ``limit`` events past ``seq`` and up to ``until`` were accepted. Raises JournalError."""
        times = "SELECT seq, accepted_at FROM trades WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        return self.query(times, seq, until, limit)

    def last_seq(self) -> int:
        """Tell the newest seq ever given, 0 before the first. Raises JournalError."""
        with translated(self.path):
            self._check_place()
            row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'trades'").fetchone()
        return row[0] if row else 0

    def measure(self) -> Room:
        """Tell how much of its disk the journal takes, with its write-ahead log, and how much is free."""
        with translated(self.path):
            names = (self.path.name, f"{self.path.name}-wal")
            taken = sum(each.stat().st_size for name in names if (each := self.path.with_name(name)).exists())
            disk = os.statvfs(self.path.parent)
        return Room(taken, disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)

    def find(self, event_id: str) -> Event | None:
        """Find the event with this id. Raises JournalError."""
        found = self._read(_SELECT + " WHERE id = ?", event_id)
        return found[0] if found else None

    def select(
        self,
        *,
        limit: int,
        after: int | None = None,
        before: int | None = None,
        symbol: str | None = None,
        side: str | None = None,
    ) -> list[Event]:
        """Select events, oldest first: the first ``limit`` past seq ``after``, or the newest ``limit`` without it.

        None of them is at seq ``before`` or past it. Raises JournalError.
        """
        wanted = {"seq > ?": after, "seq < ?": before, "symbol = ?": symbol, "side = ?": side}
        given = {test: value for test, value in wanted.items() if value is not None}
        where = f"WHERE {' AND '.join(given)}" if given else ""
        order = "DESC" if after is None else "ASC"
        found = self._read(f"{_SELECT} {where} ORDER BY seq {order} LIMIT ?", *given.values(), limit)
        return found if order == "ASC" else found[::-1]

    def _read(self, query: str, *values: object) -> list[Event]:
        return [Event(*row) for row in self.query(query, self.origin, *values)]

    def query(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask a question that changes nothing. Raises JournalError."""
        with translated(self.path):
            self._check_place()
            return self._db.execute(query, values).fetchall()

    def read_base(self) -> bytes | None:
        """Read what ``prune`` was last given to keep; None while nothing was pruned. Raises JournalError."""
        with translated(self.path):
            base: bytes | None = self._db.execute("SELECT base FROM journal").fetchone()[0]
        return base

    def prune(self, seq: int, base: bytes) -> None:
        """Delete the events up to ``seq``, keep ``base`` in their place, and give the space back.

        Raises JournalError.
        """
        with self._write():
            self._db.execute("DELETE FROM trades WHERE seq <= ?", (seq,))
            self._db.execute("UPDATE journal SET base = ?", (base,))
        with translated(self.path):
            # A plain execute would take one step of it, and free one page.
            self._db.executescript("PRAGMA incremental_vacuum")

    def forget_keys(self, before: Instant, limit: int = 1000) -> int:
        """Forget up to ``limit`` keys used before a moment, and give how many. Raises JournalError."""
        query = "SELECT client, name FROM keys WHERE used_at < ? LIMIT ?"
        with self._write():
            old = self._db.execute(query, (before, limit)).fetchall()
            self._db.executemany("DELETE FROM keys WHERE client = ? AND name = ?", old)
        return len(old)

    def keep_facts(self, worker: str, body: bytes) -> None:
        """Keep the last facts of a worker that ends. Raises JournalError."""
        with self._write():
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (worker, body))

    def read_facts(self) -> list[tuple[str, bytes]]:
        """Read the workers that have ended, with their last facts. Raises JournalError."""
        with translated(self.path):
            return self._db.execute("SELECT worker, body FROM facts").fetchall()

    def forget_facts(self, workers: Iterable[str]) -> None:
        """Forget the last facts of workers. Raises JournalError."""
        with self._write():
            self._db.executemany("DELETE FROM facts WHERE worker = ?", [(worker,) for worker in workers])

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let every read in the block see the journal as it is at the first one. Raises JournalError."""
        with translated(self.path):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("ROLLBACK")

    def back_up(self, path: Path) -> None:
        """Copy the journal to a path where no file is, while others go on writing. Raises JournalError."""
        back_up(self._db, path)

    def close(self) -> None:
        """Close the connection; may be called twice."""
        self._db.close()

    def __enter__(self) -> Self:
        """Use the journal in a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close at the end of the block."""
        self.close()

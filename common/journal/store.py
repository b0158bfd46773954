"""The journal: accepted trades in a SQLite file, in the order of their commits. The commit is the acceptance."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from common.errors import JournalError, KeyReusedError
from common.event import Event
from common.journal import keys, rows
from common.journal.appending import AppendResult, Request, append
from common.journal.file import begin_writing, journal_errors
from common.journal.identity import identify
from common.journal.opening import open_file
from common.journal.schema import SCHEMA_VERSION
from common.timestamps import Timestamp
from common.wire.transport import KeyPair

FILTERS: Final = {
    "symbol": "symbol = ?",
    "side": "side = ?",
    "source": "source = ?",
    "since": "accepted_at >= ?",
    "until": "accepted_at < ?",
}
"""What trades are selected by, besides their seqs; only ``symbol`` has an index."""

PROBE_BYTES: Final = 32 * 1024
"""More pages than a trade touches, in its table and its indexes."""


class Journal:
    """One connection to a journal; it belongs to one thread, or to one lock."""

    def __init__(self, path: Path, sync: str = "full", busy_seconds: float = 2.0) -> None:
        """Open the journal at ``path``, creating it if there is none.

        ``sync`` is ``full`` (an accepted trade survives power loss) or ``normal`` (it survives kill -9 only);
        ``busy_seconds`` is how long a write waits for another writer. Raises JournalError.
        """
        self.path = path
        self._busy_seconds = busy_seconds
        self._db = open_file(path, busy_seconds)
        try:
            with journal_errors(path):
                self._db.execute(f"PRAGMA synchronous = {sync.upper()}")
                found = self._db.execute("SELECT origin, public_key, secret_key FROM journal").fetchone()
            # SQLite opens the log on the first read, and keeps it open.
            self._files = identify(path)
            self.journal_id: str = found[0]
            self.key_pair = KeyPair(found[1], found[2])
        except JournalError:
            self.close()
            raise

    def append(self, requests: Sequence[Request]) -> list[AppendResult | KeyReusedError]:
        """Write the trades of several requests in one synced transaction, and return the outcome of each.

        A request whose key, or the key of a trade, was used before with other fields writes nothing. When this returns
        all others are on disk; when it raises JournalError, none is.
        """
        with self._write():
            return [append(self._db, self.journal_id, request) for request in requests]

    def check_writable(self) -> None:
        """Write as much as a trade takes; raises JournalError when a trade could not be written now."""
        with self._write():
            # A new value each time: SQLite does not write a page that has not changed.
            self._db.execute("UPDATE journal SET room = randomblob(?)", (PROBE_BYTES,))

    # What a commit promises: in WAL mode COMMIT appends the trades to the -wal file and, with synchronous=FULL, syncs
    # it before it returns. From then on they survive kill -9 of any process and power loss, though they reach the main
    # file only at a checkpoint. With synchronous=NORMAL the log is synced at checkpoints only: they survive kill -9.
    # A crash before COMMIT returns leaves all trades of the transaction or none. There is one writer at a time, so seqs
    # (AUTOINCREMENT) become visible in ascending order, and no two accepted trades ever share one.
    # SQLite promises this for the files it has open. When one was removed or replaced, a synced commit would be lost
    # with the last process that has it open, so such a commit counts only if a checkpoint copies all of the log.
    @contextmanager
    def _write(self) -> Iterator[None]:
        with self._reading():
            begin_writing(self._db, self._busy_seconds)
            try:
                self._check_journal()
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # SQLite rolls some failed transactions back by itself.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            if identify(self.path) != self._files and not self._save():
                raise self._lost()

    def _check_journal(self) -> None:
        # The file keeps its inode when another journal is written into it.
        found = self._db.execute("SELECT origin, user_version FROM journal, pragma_user_version").fetchone()
        if found != (self.journal_id, SCHEMA_VERSION):
            raise JournalError("replaced", f"journal {self.path} was written over while it was open")

    def check_files(self) -> None:
        """Raise JournalError when the journal's files are no longer those it opened, after saving what the log holds.

        A removed file lives until the last process closes it, and trades written to it are lost then.
        """
        if identify(self.path) != self._files:
            self._save()
            raise self._lost()

    def _lost(self) -> JournalError:
        lost = self._files.describe_loss(identify(self.path))
        return JournalError("replaced", f"journal {self.path}: {lost} was removed or replaced while it was open")

    def _save(self) -> bool:
        """Copy the log into the journal, and return whether all of it was copied."""
        now = identify(self.path)
        # Another process with a new -shm would not see what this one copies.
        if now.journal != self._files.journal or now.shm not in {None, self._files.shm}:
            return False
        try:
            with journal_errors(self.path):
                _, logged, copied = self._db.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        except JournalError:
            return False
        return bool(logged == copied)

    def read_after(self, seq: int, limit: int = 10_000) -> list[Event]:
        """Read up to ``limit`` events after ``seq``, oldest first. Raises JournalError."""
        with self._reading():
            return rows.select(self._db, self.journal_id, "WHERE seq > ? ORDER BY seq LIMIT ?", seq, limit)

    def read_times(self, seq: int, until: int, limit: int) -> list[tuple[int, Timestamp]]:
        """Read the acceptance times of up to ``limit`` events after ``seq``, up to ``until``. Raises JournalError."""
        times = "SELECT seq, accepted_at FROM trades WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        return self.query(times, seq, until, limit)

    def last_seq(self) -> int:
        """Return the newest seq ever assigned, 0 before the first. Raises JournalError."""
        with self._reading():
            return rows.last_seq(self._db)

    def pruned_seq(self) -> int:
        """Return the seq up to which trades were pruned, 0 when none were. Raises JournalError."""
        pruned_seq: int = self.query("SELECT pruned_seq FROM journal")[0][0]
        return pruned_seq

    def find(self, event_id: str) -> Event | None:
        """Find the event with this id. Raises JournalError."""
        with self._reading():
            found = rows.select_id(self._db, self.journal_id, event_id)
        return found[0] if found else None

    def select(
        self,
        *,
        limit: int,
        after: int | None = None,
        before: int | None = None,
        newest: bool | None = None,
        **filters: str | None,
    ) -> list[Event]:
        """Select up to ``limit`` events: the ``newest`` (the default without ``after``) or the oldest; oldest first.

        Their seqs are above ``after`` and below ``before``, and they match the FILTERS that are given.
        Raises JournalError.
        """
        wanted = {"seq > ?": after, "seq < ?": before} | {FILTERS[name]: value for name, value in filters.items()}
        given = {test: value for test, value in wanted.items() if value is not None}
        where = f"WHERE {' AND '.join(given)}" if given else ""
        order = "DESC" if newest or (newest is None and after is None) else "ASC"
        with self._reading():
            found = rows.select(
                self._db, self.journal_id, f"{where} ORDER BY seq {order} LIMIT ?", *given.values(), limit
            )
        return found if order == "ASC" else found[::-1]

    def query(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a query that changes nothing, and return its rows. Raises JournalError."""
        with self._reading():
            return self._db.execute(query, values).fetchall()

    def change(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement in a synced transaction of its own, and return the rows it returns. Raises JournalError."""
        with self._write():
            return self._db.execute(statement, values).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with journal_errors(self.path):
            self.check_files()
            yield

    def read_checkpoint(self) -> bytes | None:
        """Read the checkpoint that ``prune`` stored last; None while nothing was pruned. Raises JournalError."""
        with self._reading():
            checkpoint: bytes | None = self._db.execute("SELECT base FROM journal").fetchone()[0]
        return checkpoint

    def prune(self, seq: int, checkpoint: bytes) -> None:
        """Delete the events up to ``seq`` with their keys, store ``checkpoint`` in their place, and free their space.

        Raises JournalError.
        """
        with self._write():
            self._db.execute("DELETE FROM trades WHERE seq <= ?", (seq,))
            keys.forget(self._db, seq)
            self._db.execute("UPDATE journal SET base = ?, pruned_seq = ?", (checkpoint, seq))
        with journal_errors(self.path):
            # A plain execute would run one step of it, and free one page.
            self._db.executescript("PRAGMA incremental_vacuum")

    @contextmanager
    def read_transaction(self) -> Iterator[None]:
        """Let every read in the block see the journal as of the first one. Raises JournalError."""
        with self._reading():
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection; may be called twice."""
        self._db.close()

    def __enter__(self) -> Self:
        """Use the journal in a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close at the end of the block."""
        self.close()

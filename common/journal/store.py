"""The journal: accepted trades in a SQLite file, in the order of their commits. The commit is the acceptance."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Self

from common.errors import HubError, KeyReusedError
from common.event import Event
from common.journal import hub, keys, pushed, rows
from common.journal.appending import AppendResult, Request, append_all
from common.journal.connection import Connection, Latch
from common.journal.hub import Batch, BatchResult, Host, Mark, Place
from common.timestamps import Timestamp
from common.wire.transport import KeyPair

FILTERS: Final = {
    "symbol": "symbol = ?",
    "side": "side = ?",
    "source": "source = ?",
    "ref": "ref = ?",
    "since": "accepted_at >= ?",
    "until": "accepted_at < ?",
    "ts_since": "ts >= ?",
    "ts_until": "ts < ?",
    "host": "(SELECT host FROM arrivals WHERE seq = trades.seq) = (SELECT host FROM marks WHERE journal_id = ?)",
}
"""What trades are selected by, besides their seqs; only ``symbol`` has an index."""

PROBE_BYTES: Final = 32 * 1024
"""More pages than a trade touches, in its table and its indexes."""


class Journal:
    """A connection to a journal that opens at its first use, and again after a failure.

    It belongs to one thread, or to one lock. Each method raises JournalError, and the next call opens the journal
    again, which may be another one by then.
    """

    def __init__(self, path: Path, sync: str = "full", busy_seconds: float = 2.0, latch: Latch | None = None) -> None:
        """Keep the path of a journal, which is created at its first use if there is none.

        ``sync`` is ``full`` (an accepted trade survives power loss) or ``normal`` (it survives kill -9 only);
        ``busy_seconds`` is how long a write waits for another writer. Without a ``latch`` every failure is temporary.
        """
        self.path = path
        self._connection = Connection(path, sync, busy_seconds, latch)

    def open(self) -> Self:
        """Open the journal now, if it is not open. Raises JournalError."""
        with self._connection.reading():
            return self

    @property
    def journal_id(self) -> str:
        """The journal's own id. Raises JournalError."""
        with self._connection.reading() as opened:
            return opened.journal_id

    @property
    def key_pair(self) -> KeyPair:
        """The key pair of the ZeroMQ port. Raises JournalError."""
        with self._connection.reading() as opened:
            return opened.key_pair

    @property
    def times_opened(self) -> int:
        """How often it was opened: what was read before another opening may be of another journal."""
        return self._connection.times_opened

    def append(self, requests: Sequence[Request]) -> list[AppendResult | KeyReusedError]:
        """Write the trades of several requests in one synced transaction, and return the outcome of each.

        A request whose key, or the key of a trade, was used before with other fields writes nothing. When this returns
        all others are on disk; when it raises JournalError, none is. Raises HubError when it is that of a hub.
        """
        with self._connection.writing() as opened:
            hub.check_own(opened.db)
            return append_all(opened.db, opened.journal_id, requests)

    def adopt(self) -> None:
        """Make an empty journal that of a hub; one that is has no change. Raises HubError and JournalError."""
        with self._connection.writing() as opened:
            hub.adopt(opened.db)

    def append_batches(self, batches: Sequence[Batch], place: Place | None = None) -> list[BatchResult | HubError]:
        """Write batches of hosts in one synced transaction, and return what each did. Raises JournalError.

        ``place`` is where the stream that carried them goes on.
        """
        with self._connection.writing() as opened:
            results = [hub.try_append(opened.db, batch) for batch in batches]
            if place is not None:
                hub.move_place(opened.db, place)
            return results

    def read_place(self, stream: str) -> Place:
        """Read how far this hub has read a stream. Raises JournalError."""
        with self._connection.reading() as opened:
            return hub.read_place(opened.db, stream)

    def read_mark(self, journal_id: str) -> Mark:
        """Read how far a host of this hub was read. Raises JournalError."""
        with self._connection.reading() as opened:
            return hub.read_mark(opened.db, journal_id)

    def skip_host(self, journal_id: str, seq: int) -> None:
        """Let a host of this hub be read from ``seq`` on. Raises JournalError."""
        with self._connection.writing() as opened:
            hub.skip(opened.db, journal_id, seq)

    def note_pushed(self, seq: int) -> None:
        """Write up to which seq trades are in a stream, for retention. Raises JournalError."""
        with self._connection.writing() as opened:
            pushed.note(opened.db, opened.journal_id, seq)

    def read_pushed(self) -> int:
        """Read up to which seq trades are in a stream, 0 when none is known. Raises JournalError."""
        with self._connection.reading() as opened:
            return pushed.read(opened.db, opened.journal_id)

    def list_hosts(self) -> list[Host] | None:
        """List the hosts of a hub, in the order in which they came; None when it is no hub. Raises JournalError."""
        with self._connection.reading() as opened:
            return hub.list_hosts(opened.db)

    def check_writable(self) -> None:
        """Write as much as a trade takes; raises JournalError when a trade could not be written now."""
        with self._connection.writing() as opened:
            # A new value each time: SQLite does not write a page that has not changed.
            opened.db.execute("UPDATE journal SET room = randomblob(?)", (PROBE_BYTES,))

    def read_after(self, seq: int, limit: int = 10_000) -> list[Event]:
        """Read up to ``limit`` events after ``seq``, oldest first. Raises JournalError."""
        with self._connection.reading() as opened:
            return rows.select(opened.db, opened.journal_id, "WHERE seq > ? ORDER BY seq LIMIT ?", seq, limit)

    def read_times(self, seq: int, until: int, limit: int) -> list[tuple[int, Timestamp]]:
        """Read the acceptance times of up to ``limit`` events after ``seq``, up to ``until``. Raises JournalError."""
        times = "SELECT seq, accepted_at FROM trades WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        return self.query(times, seq, until, limit)

    def count_after(self, seq: int) -> int:
        """Count the events after ``seq``. Raises JournalError."""
        count: int = self.query("SELECT count(*) FROM trades WHERE seq > ?", seq)[0][0]
        return count

    def last_seq(self) -> int:
        """Return the newest seq ever assigned, 0 before the first. Raises JournalError."""
        with self._connection.reading() as opened:
            return rows.last_seq(opened.db)

    def pruned_seq(self) -> int:
        """Return the seq up to which trades were pruned, 0 when none were. Raises JournalError."""
        pruned_seq: int = self.query("SELECT pruned_seq FROM journal")[0][0]
        return pruned_seq

    def find(self, event_id: str) -> Event | None:
        """Find the event with this id. Raises JournalError."""
        with self._connection.reading() as opened:
            found = rows.select_id(opened.db, opened.journal_id, event_id)
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

        Their seqs are above ``after`` and below ``before``, and they match the FILTERS that are given; ``host`` is the
        journal_id of a hub's host.
        Raises JournalError.
        """
        wanted = {"seq > ?": after, "seq < ?": before} | {FILTERS[name]: value for name, value in filters.items()}
        given = {test: value for test, value in wanted.items() if value is not None}
        where = f"WHERE {' AND '.join(given)}" if given else ""
        order = "DESC" if newest or (newest is None and after is None) else "ASC"
        with self._connection.reading() as opened:
            if filters.get("host") is not None and not rows.is_hub(opened.db):
                return []
            found = rows.select(
                opened.db, opened.journal_id, f"{where} ORDER BY seq {order} LIMIT ?", *given.values(), limit
            )
        return found if order == "ASC" else found[::-1]

    def total(self, first: int, last: int, **filters: str | None) -> list[tuple[str, str, str, str]]:
        """Return symbol, side, prices and quantities of the events from seq ``first`` to ``last`` that match.

        The prices, and the quantities, of one symbol and side are one text, separated by spaces. Raises JournalError.
        """
        given = {FILTERS[name]: value for name, value in filters.items() if value is not None}
        where = " AND ".join(["seq BETWEEN ? AND ?", *given])
        totals = f"SELECT symbol, side, group_concat(price, ' '), group_concat(qty, ' ') FROM trades WHERE {where}"  # noqa: S608 - FILTERS are constants
        with self._connection.reading() as opened:
            if filters.get("host") is not None and not rows.is_hub(opened.db):
                return []
            return opened.db.execute(f"{totals} GROUP BY symbol, side", (first, last, *given.values())).fetchall()

    def query(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a query that changes nothing, and return its rows. Raises JournalError."""
        with self._connection.reading() as opened:
            return opened.db.execute(query, values).fetchall()

    def change(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement in a synced transaction of its own, and return the rows it returns. Raises JournalError."""
        with self._connection.writing() as opened:
            return opened.db.execute(statement, values).fetchall()

    def read_checkpoint(self) -> bytes | None:
        """Read the checkpoint that ``prune`` stored last; None while nothing was pruned. Raises JournalError."""
        with self._connection.reading() as opened:
            checkpoint: bytes | None = opened.db.execute("SELECT base FROM journal").fetchone()[0]
        return checkpoint

    def prune(self, seq: int, checkpoint: bytes) -> None:
        """Delete the events up to ``seq`` with their keys, store ``checkpoint`` in their place, and free their space.

        Raises JournalError.
        """
        with self._connection.writing() as opened:
            opened.db.execute("DELETE FROM trades WHERE seq <= ?", (seq,))
            keys.forget(opened.db, seq)
            hub.forget(opened.db, seq)
            opened.db.execute("UPDATE journal SET base = ?, pruned_seq = ?", (checkpoint, seq))
        with self._connection.reading() as opened:
            # A plain execute would run one step of it, and free one page.
            opened.db.executescript("PRAGMA incremental_vacuum")

    def read_transaction(self) -> AbstractContextManager[None]:
        """Let every read in the block see the journal as of the first one. Raises JournalError."""
        return self._connection.read_transaction()

    def close(self) -> None:
        """Close the connection; may be called twice, and the next use opens it again."""
        self._connection.close()

    def __enter__(self) -> Self:
        """Open the journal. Raises JournalError."""
        return self.open()

    def __exit__(self, *_: object) -> None:
        """Close at the end of the block."""
        self.close()

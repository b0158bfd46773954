"""The journal of a hub: other hosts' trades, each once, and how far each host has been read.

A batch names the seq that it follows, and the mark of its host is written in the transaction that writes its trades.
So batches may be lost, repeated, cut at other bounds or sent by two processes: none of it loses or doubles a trade.
"""

from collections.abc import Sequence
from itertools import repeat
from typing import Final, NamedTuple

from common.errors import HubError
from common.event import Event, Side
from common.journal import rows
from common.journal.file import Database
from common.timestamps import Timestamp

# A program without these tables may ignore them, so they need no schema version (docs/decisions/0081).
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS marks (
    host INTEGER PRIMARY KEY,
    journal_id TEXT NOT NULL UNIQUE,
    last_seq INTEGER NOT NULL DEFAULT 0,
    last_id TEXT NOT NULL DEFAULT '',
    buys INTEGER NOT NULL DEFAULT 0,
    sells INTEGER NOT NULL DEFAULT 0,
    last_ts TEXT
);
CREATE TABLE IF NOT EXISTS arrivals (
    seq INTEGER PRIMARY KEY,
    host INTEGER NOT NULL,
    host_seq INTEGER NOT NULL,
    UNIQUE (host, host_seq)
);
CREATE TABLE IF NOT EXISTS place (
    stream TEXT PRIMARY KEY,
    created TEXT NOT NULL,
    seq INTEGER NOT NULL
)
"""


class Batch(NamedTuple):
    """Events of one host's journal, complete from the seq ``after`` up to the last of them, in ``seq`` order.

    ``after_id`` is the id of the trade at ``after``; nothing where the sender does not have it.
    """

    journal_id: str
    after: int
    events: Sequence[Event]
    after_id: str = ""


class Place(NamedTuple):
    """How far a hub has read a stream that carries batches, which is another one when it was ``created`` again."""

    stream: str
    created: str = ""
    seq: int = 0


class BatchResult(NamedTuple):
    """What a batch did: trades ``written``, and ``duplicates`` that the hub has; ``last_seq`` is its host's mark now.

    Nothing is written with a ``gap``, when the batch follows a seq that the hub has not reached, or with a
    ``conflict``: the host's seq whose trade is another one than the hub has.
    """

    last_seq: int
    written: int = 0
    duplicates: int = 0
    gap: bool = False
    conflict: int | None = None


class Host(NamedTuple):
    """A host of a hub: its mark, the last seq that was read of it, and the totals of its trades in the hub."""

    journal_id: str
    last_seq: int
    buys: int
    sells: int
    last_ts: Timestamp | None


class Mark(NamedTuple):
    """How far a host was read: the seq and the id of the last trade; 0 and nothing before the first."""

    last_seq: int = 0
    last_id: str = ""


class _Mark(NamedTuple):
    host: int
    last_seq: int
    last_id: str


def adopt(db: Database) -> None:
    """Make an empty journal that of a hub, in the caller's transaction. Raises HubError when it had trades."""
    if not rows.is_hub(db) and rows.last_seq(db):
        raise HubError("trades", "the journal has trades of its own; expected that of a hub, or an empty one")
    for statement in _TABLES.split(";"):
        db.execute(statement)


def check_own(db: Database) -> None:
    """Raise HubError when the journal is that of a hub, which takes no trades but those of its hosts."""
    if rows.is_hub(db):
        raise HubError("hub", "this is a hub, which shows the trades of its hosts; send the trade to a host")


def list_hosts(db: Database) -> list[Host] | None:
    """List the hosts of a hub, in the order in which they came; None when the journal is not that of a hub."""
    if not rows.is_hub(db):
        return None
    found = db.execute("SELECT journal_id, last_seq, buys, sells, last_ts FROM marks ORDER BY host")
    return [Host(*each) for each in found]


def read_mark(db: Database, journal_id: str) -> Mark:
    """Read the mark of a host."""
    found = db.execute("SELECT last_seq, last_id FROM marks WHERE journal_id = ?", (journal_id,)).fetchone()
    return Mark(*found) if found else Mark()


def skip(db: Database, journal_id: str, seq: int) -> None:
    """Move the mark of a host to ``seq``, in the caller's transaction: the hub will not have the trades up to there."""
    _find_mark(db, journal_id)
    move = "UPDATE marks SET last_seq = ?, last_id = '' WHERE journal_id = ? AND last_seq < ?"
    db.execute(move, (seq, journal_id, seq))


def read_place(db: Database, stream: str) -> Place:
    """Read how far a stream was read."""
    found = db.execute("SELECT created, seq FROM place WHERE stream = ?", (stream,)).fetchone()
    return Place(stream, *found) if found else Place(stream)


def move_place(db: Database, place: Place) -> None:
    """Write how far a stream was read, in the transaction that writes what it carried."""
    db.execute("INSERT OR REPLACE INTO place VALUES (?, ?, ?)", place)


def try_append(db: Database, batch: Batch) -> BatchResult | HubError:
    """Write the trades of a batch that the hub does not have, and its host's mark, in the caller's transaction.

    Returns the error, and writes nothing, when the batch is not of a host or its seqs are not in order.
    """
    wrong = _find_fault(db, batch)
    if wrong is not None:
        return wrong
    mark = _find_mark(db, batch.journal_id)
    if batch.after > mark.last_seq:
        return BatchResult(mark.last_seq, gap=True)
    new = [event for event in batch.events if event.seq > mark.last_seq]
    repeats = batch.events[: len(batch.events) - len(new)]
    conflict = _find_conflict(db, mark, batch, repeats)
    if conflict is not None or not new:
        return BatchResult(mark.last_seq, duplicates=len(repeats) if conflict is None else 0, conflict=conflict)
    known = rows.find_ids(db, [event.id for event in new])
    unknown = [event for event in {event.id: event for event in new}.values() if event.id not in known]
    seqs = rows.insert_events(db, unknown)
    arrived = zip(seqs, repeat(mark.host), (event.seq for event in unknown), strict=False)
    db.executemany("INSERT INTO arrivals VALUES (?, ?, ?)", arrived)
    _move_mark(db, mark, new[-1], unknown)
    return BatchResult(new[-1].seq, len(unknown), len(batch.events) - len(unknown))


def forget(db: Database, seq: int) -> None:
    """Delete what is kept of the trades up to ``seq``, which are being pruned; marks and totals stay."""
    if rows.is_hub(db):
        db.execute("DELETE FROM arrivals WHERE seq <= ?", (seq,))


def _find_fault(db: Database, batch: Batch) -> HubError | None:
    if db.execute("SELECT origin FROM journal").fetchone() == (batch.journal_id,):
        return HubError("itself", f"journal_id {batch.journal_id!r} is the hub's own; expected that of a host")
    before = batch.after
    for event in batch.events:
        if event.seq <= before or event.journal_id != batch.journal_id:
            detail = f"seq {event.seq} of {event.journal_id!r} after {before} of {batch.journal_id!r}"
            return HubError("order", f"{detail}; expected the seqs of one journal in ascending order")
        before = event.seq
    return None


def _find_mark(db: Database, journal_id: str) -> _Mark:
    db.execute("INSERT OR IGNORE INTO marks (journal_id) VALUES (?)", (journal_id,))
    find = "SELECT host, last_seq, last_id FROM marks WHERE journal_id = ?"
    return _Mark(*db.execute(find, (journal_id,)).fetchone())


def _find_conflict(db: Database, mark: _Mark, batch: Batch, repeats: Sequence[Event]) -> int | None:
    """Find the first seq at which the batch is not the history that the hub has: a copied disk, or an old one.

    A batch that goes past the mark must have the trade at the mark, or its id, as every history of that journal does.
    Of earlier trades the hub knows those that it has not pruned and that came from this host.
    """
    if batch.after == mark.last_seq and batch.after_id and mark.last_id not in {"", batch.after_id}:
        return mark.last_seq
    is_past = len(batch.events) > len(repeats)
    if batch.after < mark.last_seq and is_past and (not repeats or repeats[-1].seq != mark.last_seq):
        return mark.last_seq
    if not repeats:
        return None
    find = "SELECT host_seq, id FROM arrivals JOIN trades USING (seq) WHERE host = ? AND host_seq BETWEEN ? AND ?"
    stored = db.execute(find, (mark.host, repeats[0].seq, repeats[-1].seq))
    ids = {seq: rows.read_id(stored_id) for seq, stored_id in stored}
    if mark.last_id:
        ids[mark.last_seq] = mark.last_id
    return next((event.seq for event in repeats if ids.get(event.seq, event.id) != event.id), None)


def _move_mark(db: Database, mark: _Mark, last: Event, written: Sequence[Event]) -> None:
    sides: list[Side] = [event.side for event in written]
    buys, newest = sides.count("BUY"), max((event.ts for event in written), default=None)
    move = """UPDATE marks SET last_seq = ?, last_id = ?, buys = buys + ?, sells = sells + ?,
        last_ts = max(coalesce(last_ts, ?), coalesce(?, last_ts)) WHERE host = ?"""
    db.execute(move, (last.seq, last.id, buys, len(sides) - buys, newest, newest, mark.host))

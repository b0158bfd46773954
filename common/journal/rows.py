"""How an event is stored as a row of ``trades``, and read back."""

import re
from collections.abc import Sequence
from itertools import repeat
from operator import attrgetter
from typing import Final

from uuid_utils import uuid7

from common.event import TRADE_FIELDS, Event, Trade
from common.journal.file import Database
from common.timestamps import Timestamp

_read_fields = attrgetter(*TRADE_FIELDS)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_SELECT: Final = f"SELECT seq, id, accepted_at, {', '.join(TRADE_FIELDS)} FROM trades"  # noqa: S608 - names of columns


def insert(db: Database, journal_id: str, trades: Sequence[Trade], accepted_at: Timestamp) -> list[Event]:
    """Insert trades, which gives them their ids and the next seqs, and return the events that they are now."""
    if not trades:
        return []
    first_seq = last_seq(db) + 1
    seqs, ids = range(first_seq, first_seq + len(trades)), [uuid7() for _ in trades]
    fields = list(map(_read_fields, trades))
    columns = dict(zip(TRADE_FIELDS, zip(*fields, strict=True), strict=True))
    # A column that no trade has is left out: to bind a None takes as long as a text of 100 characters.
    used = {name: column for name, column in columns.items() if column.count(None) < len(column)}
    marks = ", ".join("?" * (3 + len(used)))
    # 16 bytes instead of a text save a fifth of a row.
    values = zip(seqs, (each.bytes for each in ids), repeat(accepted_at), *used.values(), strict=False)
    db.executemany(f"INSERT INTO trades (seq, id, accepted_at, {', '.join(used)}) VALUES ({marks})", values)  # noqa: S608 - names of columns
    return [
        Event(*each, seq=seq, id=str(new_id), journal_id=journal_id, accepted_at=accepted_at)
        for each, seq, new_id in zip(fields, seqs, ids, strict=True)
    ]


def select(db: Database, journal_id: str, rest: str, *values: object) -> list[Event]:
    """Select the events of the journal named ``journal_id``; ``rest`` is what follows FROM trades."""
    found = db.execute(f"{_SELECT} {rest}", values)
    return [
        Event(*fields, seq=seq, id=_read_id(stored), journal_id=journal_id, accepted_at=accepted_at)
        for seq, stored, accepted_at, *fields in found
    ]


def select_id(db: Database, journal_id: str, event_id: str) -> list[Event]:
    """Select the event with this id, stored as bytes, or as text by version 1."""
    stored = bytes.fromhex(event_id.replace("-", "")) if _UUID.fullmatch(event_id) else None
    return select(db, journal_id, "WHERE id IN (?, ?)", event_id, stored)


def last_seq(db: Database) -> int:
    """Return the newest seq ever assigned, 0 before the first."""
    found = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'trades'").fetchone()
    return found[0] if found else 0


def _read_id(stored: bytes | str) -> str:
    """Read an id that was stored as bytes, or as text by version 1."""
    if isinstance(stored, str):
        return stored
    text = stored.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

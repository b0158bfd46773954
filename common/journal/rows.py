"""How an event is stored as a row of ``trades``, and read back."""

import re
from typing import Final

from common.event import TRADE_FIELDS, Event
from common.journal.file import Database

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_INSERTED: Final = ("id", "accepted_at", *TRADE_FIELDS)
_INSERT: Final = f"INSERT INTO trades ({', '.join(_INSERTED)}) VALUES ({', '.join('?' * len(_INSERTED))})"  # noqa: S608
_SELECT: Final = f"SELECT seq, id, accepted_at, {', '.join(TRADE_FIELDS)} FROM trades"  # noqa: S608 - names of columns


def insert(db: Database, event: Event) -> int:
    """Insert an event, ignoring its ``seq`` and ``journal_id``, and return its seq."""
    row = (store_id(event.id), event.accepted_at, *(getattr(event, name) for name in TRADE_FIELDS))
    return db.execute(_INSERT, row).lastrowid or 0


def select(db: Database, journal_id: str, rest: str, *values: object) -> list[Event]:
    """Select the events of the journal named ``journal_id``; ``rest`` is what follows FROM trades."""
    found = db.execute(f"{_SELECT} {rest}", values)
    return [
        Event(*fields, seq=seq, id=read_id(stored), journal_id=journal_id, accepted_at=accepted_at)
        for seq, stored, accepted_at, *fields in found
    ]


def select_id(db: Database, journal_id: str, event_id: str) -> list[Event]:
    """Select the event with this id, stored as bytes or as text."""
    return select(db, journal_id, "WHERE id IN (?, ?)", event_id, store_id(event_id))


def last_seq(db: Database) -> int:
    """Return the newest seq ever assigned, 0 before the first."""
    found = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'trades'").fetchone()
    return found[0] if found else 0


def store_id(text: str) -> bytes | str:
    """Return the stored form of an id: 16 bytes for a UUID, which saves a fifth of a row."""
    return bytes.fromhex(text.replace("-", "")) if _UUID.fullmatch(text) else text


def read_id(stored: bytes | str) -> str:
    """Read an id that was stored as bytes, or as text by version 1."""
    if isinstance(stored, str):
        return stored
    text = stored.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

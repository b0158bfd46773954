"""How an event is stored as a row of ``trades``, and read back."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Final, overload

from msgspec import UNSET
from uuid_utils import UUID, uuid7

from common.event import TRADE_FIELDS, Column, Event, Trade, TradeColumns
from common.journal.file import Database
from common.journal.inserting import insert_columns
from common.timestamps import Timestamp

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_FIELDS: Final = ", ".join(TRADE_FIELDS)
_SELECT: Final = f"SELECT seq, id, accepted_at, NULL, NULL, {_FIELDS} FROM trades"  # noqa: S608 - names of columns
_SELECT_ON_HUB: Final = f"""
SELECT seq, id, accepted_at, (SELECT journal_id FROM marks WHERE marks.host = arrivals.host), host_seq, {_FIELDS}
FROM trades LEFT JOIN arrivals USING (seq)
"""  # noqa: S608 - names of columns

_FIND_LIMIT: Final = 500
"""Ids in one query."""


class Written(Sequence[Event]):
    """The events that a request wrote, with contiguous seqs; they are made when one is read.

    Nobody reads those of a large batch, which is announced by its first and last seq.
    """

    def __init__(
        self, journal_id: str, accepted_at: Timestamp, seqs: range, ids: Sequence[UUID], trades: Sequence[Trade]
    ) -> None:
        """Keep what the events are made of."""
        self.journal_id = journal_id
        self.accepted_at = accepted_at
        self.seqs = seqs
        self._ids = ids
        self._trades = trades

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.seqs)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        """Return one event, or some."""
        return self._events[index]

    def __iter__(self) -> Iterator[Event]:
        """Yield each event."""
        return iter(self._events)

    @cached_property
    def _events(self) -> list[Event]:
        journal_id, at = self.journal_id, self.accepted_at
        rows = zip(*_join([self._trades]).columns.values(), strict=True)
        return [
            Event(ts or at, *fields, seq=seq, id=str(new_id), journal_id=journal_id, accepted_at=at)
            for (ts, *fields), seq, new_id in zip(rows, self.seqs, self._ids, strict=True)
        ]


def insert(db: Database, journal_id: str, accepted: Sequence[tuple[Sequence[Trade], Timestamp]]) -> list[Written]:
    """Insert the trades of requests, each with its time of acceptance, and return the events that they are now.

    They get their ids and the next seqs. To insert the trades of many requests together takes less than one by one.
    """
    count = sum(len(given) for given, _ in accepted)
    first = last_seq(db) + 1 if count else 0
    seqs, ids = range(first, first + count), [uuid7() for _ in range(count)]
    if count:
        times = [accepted_at for given, accepted_at in accepted for _ in range(len(given))]
        blobs = [bytearray(each.bytes) for each in ids]
        _write(db, _join([given for given, _ in accepted]).columns, seqs, blobs, times)
    written, start = [], 0
    for given, accepted_at in accepted:
        end = start + len(given)
        written.append(Written(journal_id, accepted_at, seqs[start:end], ids[start:end], given))
        start = end
    return written


def _join(given: Sequence[Sequence[Trade]]) -> TradeColumns:
    if len(given) == 1 and isinstance(given[0], TradeColumns):
        return given[0]
    return TradeColumns.split(chain.from_iterable(given))


def insert_events(db: Database, events: Sequence[Event]) -> range:
    """Insert events of other journals, which keep their ids and times, and return the seqs that they get here."""
    first_seq = last_seq(db) + 1
    seqs = range(first_seq, first_seq + len(events))
    if events:
        ids, times = [_write_id(event.id) for event in events], [event.accepted_at for event in events]
        own_times = ["" if event.ts == event.accepted_at else event.ts for event in events]
        _write(db, TradeColumns.split(events).columns | {"ts": own_times}, seqs, ids, times)
    return seqs


def _write(
    db: Database, fields: Mapping[str, Column], seqs: range, ids: Sequence[object], times: Sequence[str]
) -> None:
    # ``ts`` is read from ``own_ts``, or from ``accepted_at`` where that is empty. 16 bytes in place of the text of an
    # id save a fifth of a row.
    columns: dict[str, Sequence[object]] = {"seq": seqs, "id": ids, "accepted_at": times}
    for name, column in fields.items():
        # A column that no trade has is left out: to bind a None takes as long as a text of 100 characters.
        if column.count(None) < len(column):
            columns["own_ts" if name == "ts" else name] = column
    insert_columns(db, "trades", columns)


def find_ids(db: Database, ids: Sequence[str]) -> set[str]:
    """Find which of these ids events of the journal have."""
    found: set[str] = set()
    for start in range(0, len(ids), _FIND_LIMIT):
        wanted = [_write_id(each) for each in ids[start : start + _FIND_LIMIT]]
        marks = ", ".join("?" * len(wanted))
        query = f"SELECT id FROM trades WHERE id IN ({marks})"  # noqa: S608 - marks only
        found.update(read_id(stored) for (stored,) in db.execute(query, wanted))
    return found


def select(db: Database, journal_id: str, rest: str, *values: object) -> list[Event]:
    """Select the events of the journal named ``journal_id``; ``rest`` is what follows FROM trades.

    Those of a hub have the ``host_journal_id`` and ``host_seq`` of the host that accepted them.
    """
    hub = is_hub(db)
    found = db.execute(f"{_SELECT_ON_HUB if hub else _SELECT} {rest}", values).fetchall()
    if found and not hub and is_hub(db):
        # It became one after the first look, and these may be the first trades of its hosts.
        return select(db, journal_id, rest, *values)
    return [
        Event(
            *fields,
            seq=seq,
            id=read_id(stored),
            journal_id=journal_id,
            accepted_at=accepted_at,
            host_journal_id=UNSET if host_seq is None else host,
            host_seq=UNSET if host_seq is None else host_seq,
        )
        for seq, stored, accepted_at, host, host_seq, *fields in found
    ]


def select_id(db: Database, journal_id: str, event_id: str) -> list[Event]:
    """Select the event with this id, stored as bytes, or as text by version 1."""
    return select(db, journal_id, "WHERE id IN (?, ?)", event_id, _write_id(event_id))


def is_hub(db: Database) -> bool:
    """Return whether the journal is that of a hub, which has marks of its hosts."""
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'marks'").fetchone() is not None


def last_seq(db: Database) -> int:
    """Return the newest seq ever assigned, 0 before the first."""
    found = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'trades'").fetchone()
    return found[0] if found else 0


def read_id(stored: bytes | str) -> str:
    """Read an id that was stored as bytes, or as text: by version 1, or an id that is no UUID."""
    if isinstance(stored, str):
        return stored
    text = stored.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _write_id(event_id: str) -> bytes | str:
    return bytes.fromhex(event_id.replace("-", "")) if _UUID.fullmatch(event_id) else event_id

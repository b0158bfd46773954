"""Appending one request: which of its trades are written, depending on earlier uses of their keys."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from common.errors import KeyReusedError
from common.event import Event
from common.journal import keys, rows
from common.journal.file import Database
from common.journal.keys import Key


class Row(NamedTuple):
    """One trade to be written, unless its key was used before with the same fields."""

    event: Event
    key: Key | None = None


class Request(NamedTuple):
    """Trades that are written together or not at all; ``key`` names the request itself."""

    rows: Sequence[Row]
    key: Key | None = None


class AppendResult(NamedTuple):
    """The result of a request: the event of each row in order, and whether this request wrote it (``fresh``).

    ``last_seq`` is that of the newest accepted event, 0 when there is none. A ``replayed`` request has the
    events that the first request with its key wrote.
    """

    events: list[Event]
    fresh: list[bool]
    last_seq: int
    accepted: int
    duplicates: int
    replayed: bool = False


def append(db: Database, journal_id: str, request: Request) -> AppendResult | KeyReusedError:
    """Write the rows of a request, in the caller's transaction; none of them when a key was used with other fields."""
    used = request.key and keys.find_request(db, request.key)
    if used is not None:
        return _replay(db, journal_id, used)
    earlier = _find_earlier(db, request.rows)
    if isinstance(earlier, KeyReusedError):
        return earlier
    events: list[Event] = []
    for (event, key), use in zip(request.rows, earlier, strict=True):
        if use is None:
            seq = rows.insert(db, event)
            events.append(msgspec.structs.replace(event, seq=seq, journal_id=journal_id))
            if key is not None:
                keys.add_row(db, key, seq)
        else:
            events += (
                [events[use.row]] if use.row is not None else rows.select(db, journal_id, "WHERE seq = ?", use.seq)
            )
    fresh = [use is None for use in earlier]
    last_seq = max((event.seq for event, new in zip(events, fresh, strict=True) if new), default=0)
    if request.key is not None:
        keys.add_request(db, request.key, last_seq or rows.last_seq(db), sum(fresh), len(fresh) - sum(fresh))
    return AppendResult(events, fresh, last_seq, sum(fresh), len(fresh) - sum(fresh))


class _Earlier(NamedTuple):
    """Where a key was used before: at a seq of the journal, or at an earlier row of the same request."""

    seq: int = 0
    row: int | None = None


def _find_earlier(db: Database, given: Sequence[Row]) -> list[_Earlier | None] | KeyReusedError:
    """Find for each row where its key was used before."""
    earlier: list[_Earlier | None] = []
    reused: list[int] = []
    firsts: dict[tuple[str, str], tuple[int, bytes]] = {}
    for index, (_, key) in enumerate(given):
        if key is None:
            earlier.append(None)
            continue
        first, digest = firsts.setdefault((key.owner, key.name), (index, key.digest))
        use = keys.find_row(db, key) if first == index else None
        if first != index:
            earlier.append(_Earlier(row=first))
        else:
            earlier.append(use and _Earlier(seq=use.seq))
        if digest != key.digest or (use and not use.same):
            reused.append(index)
    if reused:
        return KeyReusedError("key_reused", "this key was used before, with other fields", tuple(reused))
    return earlier


def _replay(db: Database, journal_id: str, used: keys.RequestUse) -> AppendResult | KeyReusedError:
    if not used.same:
        return KeyReusedError("key_reused", "this key was used before, for another request")
    events = rows.select(db, journal_id, "WHERE seq > ? AND seq <= ?", used.last_seq - used.accepted, used.last_seq)
    last_seq = used.last_seq if used.accepted else 0
    return AppendResult(events, [False] * len(events), last_seq, used.accepted, used.duplicates, replayed=True)

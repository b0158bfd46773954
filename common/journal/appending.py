"""Appending a request: its trades become events, except those whose keys were used before."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import groupby, repeat
from typing import NamedTuple, overload

from msgspec import Struct

from common.errors import KeyReusedError
from common.event import Event, Trade, TradeColumns
from common.journal import keys, rows
from common.journal.file import Database
from common.journal.keys import Key
from common.journal.rows import Written
from common.timestamps import Timestamp


class KeyedTrade(Struct, frozen=True, gc=False):
    """A trade with its key; a trade whose key was used before, with the same fields, is not written again.

    Nor is one that was written under one of its ``other_keys`` by an earlier request.
    """

    trade: Trade
    key: Key | None = None
    other_keys: Sequence[Key] = ()


class KeyedTrades(Sequence[KeyedTrade]):
    """Trades by columns, with the key of each, or no ``keys`` when none has one; each is made when one is read."""

    def __init__(self, trades: TradeColumns, keys: Sequence[Key | None] = ()) -> None:
        """Keep both."""
        self.trades = trades
        self.keys = keys

    def __len__(self) -> int:
        """Return how many trades there are."""
        return len(self.trades)

    @overload
    def __getitem__(self, index: int) -> KeyedTrade: ...
    @overload
    def __getitem__(self, index: slice) -> list[KeyedTrade]: ...
    def __getitem__(self, index: int | slice) -> KeyedTrade | list[KeyedTrade]:
        """Return one trade with its key, or some."""
        return self._made[index]

    def __iter__(self) -> Iterator[KeyedTrade]:
        """Yield each trade with its key."""
        return iter(self._made)

    @cached_property
    def _made(self) -> list[KeyedTrade]:
        return list(map(KeyedTrade, self.trades, self.keys or repeat(None)))


class Request(NamedTuple):
    """Trades that are accepted together, at ``accepted_at``, or not at all; ``key`` names the request itself."""

    trades: Sequence[KeyedTrade]
    accepted_at: Timestamp
    key: Key | None = None


class AppendResult(NamedTuple):
    """The events of a request's trades, in order, and of these the ones that it wrote, with contiguous seqs.

    ``last_seq`` is that of the newest accepted event, 0 when there is none. A ``replayed`` request wrote nothing: it
    has the events, still in the journal, and the numbers of the first request with its key.
    """

    events: Sequence[Event]
    written: Written
    accepted: int
    duplicates: int
    last_seq: int
    replayed: bool = False


def append_all(db: Database, journal_id: str, requests: Sequence[Request]) -> list[AppendResult | KeyReusedError]:
    """Write the trades of requests in their order, in the caller's transaction; see ``append`` for those with keys."""
    outcomes: list[AppendResult | KeyReusedError] = []
    for has_keys, group in groupby(requests, _has_keys):
        if has_keys:
            outcomes += [append(db, journal_id, request) for request in group]
        else:
            given = [(_read_trades(request.trades), request.accepted_at) for request in group]
            outcomes += map(_report, rows.insert(db, journal_id, given))
    return outcomes


def _has_keys(request: Request) -> bool:
    return request.key is not None or any(key is not None for key in _read_keys(request.trades))


def _read_trades(given: Sequence[KeyedTrade]) -> Sequence[Trade]:
    return given.trades if isinstance(given, KeyedTrades) else [each.trade for each in given]


def _read_keys(given: Sequence[KeyedTrade]) -> Sequence[Key | None]:
    return given.keys if isinstance(given, KeyedTrades) else [each.key for each in given]


def _report(written: Written) -> AppendResult:
    return AppendResult(written, written, len(written), 0, written.seqs[-1] if written else 0)


def append(db: Database, journal_id: str, request: Request) -> AppendResult | KeyReusedError:
    """Write the trades of a request, in the caller's transaction; none when a key was used with other fields."""
    replayed = None if request.key is None else keys.find_request(db, request.key)
    if replayed is not None:
        return _replay(db, journal_id, replayed)
    earlier = _find_earlier(db, request.trades)
    if isinstance(earlier, KeyReusedError):
        return earlier
    new = request.trades
    if earlier.count(None) < len(earlier):
        new = [each for each, use in zip(request.trades, earlier, strict=True) if use is None]
    (written,) = rows.insert(db, journal_id, [(_read_trades(new), request.accepted_at)])
    named = [(seq, key) for seq, key in zip(written.seqs, _read_keys(new), strict=False) if key is not None]
    keys.add_rows(db, named)
    accepted, duplicates = len(written), len(earlier) - len(written)
    events = _merge(db, journal_id, written, earlier) if duplicates else written
    last_seq = written.seqs[-1] if accepted else 0
    if request.key is not None:
        keys.add_request(db, request.key, last_seq or rows.last_seq(db), accepted, duplicates)
    return AppendResult(events, written, accepted, duplicates, last_seq)


def _merge(db: Database, journal_id: str, written: Written, earlier: Sequence["_Earlier | None"]) -> list[Event]:
    """Put the events of earlier uses among those that were written, in the order of the request."""
    events: list[Event] = []
    unused = iter(written)
    for use in earlier:
        if use is None:
            events.append(next(unused))
        elif use.row is not None:
            events.append(events[use.row])
        else:
            events += rows.select(db, journal_id, "WHERE seq = ?", use.seq)
    return events


class _Earlier(NamedTuple):
    """Where a key was used before: at a seq of the journal, or at an earlier trade of the same request."""

    seq: int = 0
    row: int | None = None


def _find_earlier(db: Database, given: Sequence[KeyedTrade]) -> list[_Earlier | None] | KeyReusedError:
    """Find for each trade where its key was used before."""
    earlier: list[_Earlier | None] = []
    reused: list[int] = []
    firsts: dict[tuple[str, str], tuple[int, bytes]] = {}
    named = [key for key in _read_keys(given) if key is not None]
    others = [] if isinstance(given, KeyedTrades) else [key for each in given for key in each.other_keys]
    uses = keys.find_rows(db, named, others)
    if not uses and len({(key.owner, key.name) for key in named}) == len(named):
        return [None] * len(given)
    for index, each in enumerate(given):
        key = each.key
        if key is None:
            earlier.append(None)
            continue
        first, digest = firsts.setdefault((key.owner, key.name), (index, key.digest))
        found = (uses.get((name.owner, name.name)) for name in (key, *each.other_keys))
        use = next(filter(None, found), None) if first == index else None
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
    nothing = Written(journal_id, "", range(0), (), ())
    return AppendResult(events, nothing, used.accepted, used.duplicates, last_seq, replayed=True)

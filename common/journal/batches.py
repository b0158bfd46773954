"""Batches: events by symbol, side and source, the unit in which they are counted."""

from collections import defaultdict
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

from msgspec.json import Decoder

from common.decimals import DecimalText
from common.event import SEQ_MAX, Event, Side, Source
from common.journal.store import Journal
from common.symbols import Symbol
from common.timestamps import Timestamp
from common.wire.hints import Hint

CHUNK: Final = 10_000
"""Events that are read and counted at once."""

# One joined text per batch is read faster than a row per trade: replays read millions.
_BATCHES: Final = """
WITH batches AS (
    SELECT symbol, side, source, group_concat(price, ' ') AS prices, group_concat(qty, ' ') AS quantities,
        group_concat(seq) AS seqs, group_concat(fee, ' ') AS fees, group_concat(ts, ' ') AS times, min(seq) AS first
    FROM trades
    WHERE seq > ?
        AND seq <= (SELECT max(seq) FROM (SELECT seq FROM trades WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?))
    GROUP BY symbol, side, source
)
SELECT g.symbol, g.side, g.source, prices, quantities, seqs, fees, times, accepted_at
FROM batches AS g JOIN trades ON seq = first ORDER BY first
"""

_decode_seqs = Decoder(list[int]).decode

_read_key = attrgetter("symbol", "side", "source")


class Batch(NamedTuple):
    """The events of one symbol, side and source, as far as they are counted: of each its price, quantity and seq.

    They are in ``seq`` order; ``fees``, those that were given, are in any order. The newest event is the one with the
    latest ``ts``, and of those with the same ``ts`` the one with the latest seq.
    """

    symbol: Symbol
    side: Side
    source: Source
    prices: list[DecimalText]
    quantities: list[DecimalText]
    seqs: list[int]
    fees: list[DecimalText]
    first_accepted_at: Timestamp
    last_seq: int
    newest_seq: int
    newest_ts: Timestamp
    newest_price: DecimalText


def group(events: Sequence[Event | Hint]) -> list[Batch]:
    """Batch events that are in ``seq`` order; the batches are in the order of their first events."""
    found: defaultdict[tuple[Symbol, Side, Source], list[Event | Hint]] = defaultdict(list)
    for key, event in zip(map(_read_key, events), events, strict=True):
        found[key].append(event)
    return [_join(key, batch) for key, batch in found.items()]


def _join(key: tuple[Symbol, Side, Source], events: list[Event | Hint]) -> Batch:
    times = [event.ts for event in events]
    newest = events[_find_newest(times)]
    return Batch(
        *key,
        [event.price for event in events],
        [event.qty for event in events],
        [event.seq for event in events],
        [event.fee for event in events if event.fee is not None],
        events[0].accepted_at,
        events[-1].seq,
        newest.seq,
        newest.ts,
        newest.price,
    )


def _find_newest(times: list[Timestamp]) -> int:
    return -1 - times[::-1].index(max(times))


def read_batches(journal: Journal, after: int, limit: int, until: int = SEQ_MAX) -> list[Batch]:
    """Read up to ``limit`` events after seq ``after``, up to ``until``, as ``group`` returns them.

    Raises JournalError.
    """
    return list(map(_read_batch, journal.query(_BATCHES, after, after, until, limit)))


def _read_batch(row: tuple[Any, ...]) -> Batch:
    symbol, side, source, joined_prices, joined_quantities, joined_seqs, fees, joined_times, first_accepted_at = row
    seqs = _decode_seqs(f"[{joined_seqs}]")
    prices, quantities, times = joined_prices.split(), joined_quantities.split(), joined_times.split()
    if seqs != sorted(seqs):
        # SQLite joins texts in any order, though most often in that of the rows.
        order = sorted(range(len(seqs)), key=seqs.__getitem__)
        seqs, prices, quantities, times = ([each[n] for n in order] for each in (seqs, prices, quantities, times))
    newest = _find_newest(times)
    return Batch(
        symbol,
        side,
        source,
        prices,
        quantities,
        seqs,
        (fees or "").split(),
        first_accepted_at,
        seqs[-1],
        seqs[newest],
        times[newest],
        prices[newest],
    )

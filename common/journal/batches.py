"""Batches: events by symbol, side and source, the unit in which they are counted."""

from collections import defaultdict
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from common.decimals import DecimalText
from common.event import SEQ_MAX, Event, Side, Source
from common.journal.store import Journal
from common.symbols import Symbol
from common.timestamps import Timestamp
from common.wire.hints import Hint

CHUNK: Final = 10_000
"""Events that are read and counted at once."""

_WIDE: Final = 10**18
"""Added to a seq, it makes all seqs texts of one width, so that a ts followed by a seq sorts as the pair does."""

_TS_LENGTH: Final = len("2026-01-31T09:30:00.000000Z")

# One joined text per batch is read faster than a row per trade: replays read millions.
_BATCHES: Final = f"""
WITH batches AS (
    SELECT symbol, side, source, group_concat(price, ' ') AS prices, group_concat(qty, ' ') AS quantities,
        group_concat(seq, ' ') AS seqs, group_concat(fee, ' ') AS fees,
        min(seq) AS first, max(seq) AS last, max(ts || (seq + {_WIDE})) AS newest
    FROM trades
    WHERE seq > ?1
        AND seq <= (SELECT max(seq) FROM (SELECT seq FROM trades WHERE seq > ?1 AND seq <= ?3 ORDER BY seq LIMIT ?2))
    GROUP BY symbol, side, source
)
SELECT g.symbol, g.side, g.source, prices, quantities, seqs, fees, a.accepted_at, last, b.seq, b.ts, b.price
FROM batches AS g JOIN trades AS a ON a.seq = first
    JOIN trades AS b ON b.seq = substr(newest, {_TS_LENGTH + 1}) - {_WIDE} ORDER BY first
"""  # noqa: S608 - both are constants


_read_key = attrgetter("symbol", "side", "source")


class Batch(NamedTuple):
    """The events of one symbol, side and source, as far as they are counted: of each its price, quantity and seq.

    ``fees`` are those that were given. The newest event is the one with the latest ``ts``, and of those with the same
    ``ts`` the one with the latest seq.
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
    newest_ts = max(times)
    newest = events[-1 - times[::-1].index(newest_ts)]
    return Batch(
        *key,
        [event.price for event in events],
        [event.qty for event in events],
        [event.seq for event in events],
        [event.fee for event in events if event.fee is not None],
        events[0].accepted_at,
        events[-1].seq,
        newest.seq,
        newest_ts,
        newest.price,
    )


def read_batches(journal: Journal, after: int, limit: int, until: int = SEQ_MAX) -> list[Batch]:
    """Read up to ``limit`` events after seq ``after``, up to ``until``, as ``group`` returns them.

    Within a batch they are in any order. Raises JournalError.
    """
    found = journal.query(_BATCHES, after, limit, until)
    return [
        Batch(
            symbol,
            side,
            source,
            prices.split(),
            quantities.split(),
            list(map(int, seqs.split())),
            (fees or "").split(),
            *rest,
        )
        for symbol, side, source, prices, quantities, seqs, fees, *rest in found
    ]

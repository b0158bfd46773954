"""Summaries of the newest trades: exact totals by symbol, and bars in floats, for charts."""

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter, itemgetter
from typing import Final

from msgspec import Struct

from common.journal.block_ranges import BlockRanges, Range, clip
from common.journal.store import Journal
from common.quotes import CURRENCIES, find_quote
from common.tally import EXACT, Tally
from common.timestamps import Timestamp, format_timestamp, now

ROWS_LIMIT: Final = 200_000
"""Seqs that one summary searches: the newest in the ranges of the journal that its window can overlap."""

SYMBOLS_LIMIT: Final = 200


class SymbolSummary(Struct):
    """One symbol in the window; ``quantity`` in units of the symbol, ``notional`` is the sum of price × quantity.

    Only notionals of one ``quote`` currency may be added up.
    """

    symbol: str
    quote: str
    trades: int = 0
    buys: int = 0
    buy_notional: Decimal = Decimal(0)
    quantity: Decimal = Decimal(0)
    notional: Decimal = Decimal(0)
    last_price: str = ""


class Bar(Struct):
    """One step of a symbol: ``time`` is its start, in seconds since 1970."""

    time: int
    open: float
    high: float
    low: float
    close: float
    quantity: float
    buy_quantity: float
    trades: int


class Summary(Struct):
    """The trades accepted from ``since`` until now; not ``complete`` when some are older than the newest ROWS_LIMIT."""

    since: Timestamp
    last_seq: int
    complete: bool
    symbols: list[SymbolSummary]
    symbol: str | None
    step: int
    bars: list[Bar]


_WINDOW: Final = """
json_each(?1) AS part CROSS JOIN trades
    ON seq BETWEEN json_extract(part.value, '$[0]') AND json_extract(part.value, '$[1]')
    AND accepted_at BETWEEN ?2 AND ?3
"""

# SQLite's sums are floats, so it only joins the decimals, which is faster than a row per trade.
_SYMBOLS: Final = f"""
SELECT symbol, side, group_concat(price, ' '), group_concat(qty, ' '), price, max(seq)
FROM {_WINDOW} GROUP BY symbol, side
"""  # noqa: S608 - it is a constant; the price is that of the row with the highest seq

_BARS: Final = f"""
WITH steps AS (
    SELECT CAST(strftime('%s', accepted_at) AS INTEGER) / ?5 * ?5 AS time, min(seq) AS first, max(seq) AS last,
        max(CAST(price AS REAL)) AS high, min(CAST(price AS REAL)) AS low, sum(CAST(qty AS REAL)) AS quantity,
        sum(CASE side WHEN 'BUY' THEN CAST(qty AS REAL) ELSE 0 END) AS buys, count(*) AS trades
    FROM {_WINDOW} AND symbol = ?4 GROUP BY time
)
SELECT time, CAST(a.price AS REAL), high, low, CAST(b.price AS REAL), quantity, buys, trades
FROM steps JOIN trades AS a ON a.seq = first JOIN trades AS b ON b.seq = last ORDER BY time
"""  # noqa: S608 - it is a constant

_ANY: Final = f"SELECT 1 FROM {_WINDOW} LIMIT 1"  # noqa: S608 - it is a constant


def summarise(  # noqa: PLR0913 - a window, and the clock that ends it
    journal: Journal,
    blocks: BlockRanges,
    window: timedelta,
    symbol: str | None,
    step: int,
    *,
    currencies: tuple[str, ...] = CURRENCIES,
    clock: Callable[[], datetime] = now,
) -> Summary:
    """Summarise what was accepted from a ``window`` ago until now, by symbol, and one symbol's bars.

    A bar has ``step`` seconds. Without ``symbol`` the bars are of the one with the most notional. A trade whose
    timestamp is later than now is not in the window. Raises JournalError.
    """
    with journal.read_transaction():
        last_seq = journal.last_seq()
        # Read after ``last_seq``: trades up to it have earlier timestamps, unless the clock stepped back.
        end = clock()
        since, until = format_timestamp(end - window), format_timestamp(end)
        found = clip(blocks.find(since, until), 1, last_seq)
        newest, older = _split(found, ROWS_LIMIT)
        parts = json.dumps(newest)
        symbols = _total(journal.query(_SYMBOLS, parts, since, until), currencies)
        chosen = symbol or (symbols[0].symbol if symbols else None)
        bars = [Bar(*row) for row in journal.query(_BARS, parts, since, until, chosen, step)] if chosen else []
        complete = not journal.query(_ANY, json.dumps(older), since, until)
    return Summary(since, last_seq, complete, symbols, chosen, step, bars)


def _total(rows: Iterable[tuple[str, str, str, str, str, int]], currencies: tuple[str, ...]) -> list[SymbolSummary]:
    """Total the trades of each symbol and side by symbol: those with the most notional first, SYMBOLS_LIMIT at most."""
    found: dict[str, SymbolSummary] = {}
    # In the order of their newest trades, so that the last price is the one that stays.
    for symbol, side, prices, quantities, last_price, _ in sorted(rows, key=itemgetter(5)):
        tally = Tally()
        tally.add(prices.split(), quantities.split())
        buys = tally if side == "BUY" else Tally()
        total = found.setdefault(symbol, SymbolSummary(symbol, find_quote(symbol, currencies)))
        total.trades += tally.trades
        total.buys += buys.trades
        total.buy_notional = EXACT.add(total.buy_notional, buys.notional)
        total.quantity = EXACT.add(total.quantity, tally.quantity)
        total.notional = EXACT.add(total.notional, tally.notional)
        total.last_price = last_price
    return sorted(found.values(), key=attrgetter("notional"), reverse=True)[:SYMBOLS_LIMIT]


def _split(ranges: list[Range], seqs: int) -> tuple[list[Range], list[Range]]:
    """Split ranges into the newest ones, ``seqs`` seqs in all, and the older ones."""
    newest: list[Range] = []
    older: list[Range] = []
    for first, last in reversed(ranges):
        begin = max(first, last - seqs + 1)
        if begin <= last:
            newest.append((begin, last))
            seqs -= last - begin + 1
        if first < begin:
            older.append((first, begin - 1))
    return newest, older

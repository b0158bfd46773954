"""Summaries of the newest trades, worked out by SQLite in floats, for pictures. The sidecar has the exact totals."""

from typing import Final

from msgspec import Struct

from tape.event import Instant
from tape.journal import Journal

ROWS_LIMIT: Final = 200_000
"""Trades that one summary looks at: at most the newest of its window."""

SYMBOLS_LIMIT: Final = 200


class SymbolSummary(Struct):
    """One symbol in the window; ``quantity`` in units of the symbol, ``notional`` is the sum of price × quantity."""

    symbol: str
    trades: int
    buys: int
    buy_notional: float
    quantity: float
    notional: float
    last_price: str


class Bar(Struct):
    """One step of a symbol: ``time`` is its beginning, in seconds since 1970."""

    time: int
    open: float
    high: float
    low: float
    close: float
    quantity: float
    buy_quantity: float
    trades: int


class Summary(Struct):
    """The trades accepted at ``since`` or later, or the newest ROWS_LIMIT of them, then not ``complete``."""

    since: Instant
    last_seq: int
    complete: bool
    symbols: list[SymbolSummary]
    symbol: str | None
    step: int
    bars: list[Bar]


_SYMBOLS = f"""
SELECT symbol, count(*), sum(side = 'BUY'),
    sum(CASE side WHEN 'BUY' THEN CAST(price AS REAL) * CAST(qty AS REAL) ELSE 0 END),
    sum(CAST(qty AS REAL)), sum(CAST(price AS REAL) * CAST(qty AS REAL)) AS notional, price, max(seq)
FROM trades WHERE seq >= ? GROUP BY symbol ORDER BY notional DESC LIMIT {SYMBOLS_LIMIT}
"""  # noqa: S608 - the limit is a constant; the price is that of the row with the highest seq

_BARS = """
WITH steps AS (
    SELECT CAST(strftime('%s', accepted_at) AS INTEGER) / ?3 * ?3 AS time, min(seq) AS first, max(seq) AS last,
        max(CAST(price AS REAL)) AS high, min(CAST(price AS REAL)) AS low, sum(CAST(qty AS REAL)) AS quantity,
        sum(CASE side WHEN 'BUY' THEN CAST(qty AS REAL) ELSE 0 END) AS buys, count(*) AS trades
    FROM trades WHERE seq >= ?1 AND symbol = ?2 GROUP BY time
)
SELECT time, CAST(a.price AS REAL), high, low, CAST(b.price AS REAL), quantity, buys, trades
FROM steps JOIN trades AS a ON a.seq = first JOIN trades AS b ON b.seq = last ORDER BY time
"""


def summarise(journal: Journal, since: Instant, symbol: str | None, step: int) -> Summary:
    """Summarise what was accepted since a moment, by symbol, and one symbol's bars of ``step`` seconds.

    Without ``symbol`` it is the one with the most notional. Raises JournalError.
    """
    with journal.hold():
        last_seq = journal.last_seq()
        begin = find_first(journal, since, last_seq)
        first = max(begin, last_seq - ROWS_LIMIT + 1)
        symbols = [SymbolSummary(*row[:-1]) for row in journal.query(_SYMBOLS, first)]
        chosen = symbol or (symbols[0].symbol if symbols else None)
        bars = [Bar(*row) for row in journal.query(_BARS, first, chosen, step)] if chosen else []
    return Summary(since, last_seq, first == begin, symbols, chosen, step, bars)


def find_first(journal: Journal, since: Instant, last_seq: int) -> int:
    """Find the first seq accepted at a moment or later; past the last one when there is none. Raises JournalError.

    Times grow with the seq, but for the milliseconds in which requests overtake each other on their way to a commit.
    """
    low, high = 0, last_seq + 1
    while low < high:
        middle = (low + high) // 2
        found = journal.query("SELECT seq, accepted_at FROM trades WHERE seq >= ? ORDER BY seq LIMIT 1", middle)
        if not found or found[0][1] >= since:
            high = middle
        else:
            low = found[0][0] + 1
    return low

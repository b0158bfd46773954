"""Bars of one symbol: its trades by steps of time, exact, for charts."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from functools import partial
from typing import Any, Final, NamedTuple

from msgspec import Struct

from common.journal.block_cache import BlockCache, list_parts
from common.journal.block_ranges import BlockRanges, Part, TimeColumn
from common.journal.store import Journal
from common.tally import EXACT
from common.timestamps import Timestamp, format_timestamp, now

AHEAD: Final = timedelta(seconds=60)
"""How far the time of a trade may be ahead of the clock."""

FIRST_TIME: Final = "0001-01-01T00:00:00.000000Z"
LAST_TIME: Final = "9999-12-31T23:59:59.999999Z"


class Bar(Struct):
    """One step of a symbol: ``time`` is its start, in seconds since 1970; ``quantity`` in units of the symbol."""

    time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    quantity: Decimal
    buy_quantity: Decimal
    trades: int


class _BlockBar(Struct):
    """A bar of one block; ``first`` and ``last`` order its ends among those of other blocks."""

    first: Any
    last: Any
    bar: Bar


# SQLite's sums are floats, so it only joins the decimals. By acceptance the order of the trades is that of their seqs;
# by their own times it is that of the times, then of the seqs. Before 1970 seconds are negative, and / rounds up.
_BARS: Final = """
WITH times AS (
    SELECT seq, side, price, qty, CAST(strftime('%s', {column}) AS INTEGER) AS second, {order} AS place
    FROM trades INDEXED BY trades_symbol WHERE symbol = ? AND seq BETWEEN ? AND ?
), sides AS (
    SELECT second - (second % ? + ?) % ? AS time, side, group_concat(price, ' ') AS prices,
        group_concat(qty, ' ') AS quantities, min(place) AS first, max(place) AS last
    FROM times GROUP BY time, side
)
SELECT time, sides.side, prices, quantities, first, last, opened.price, closed.price FROM sides
JOIN trades AS opened ON opened.seq = CAST(substr(first, -20) AS INTEGER)
JOIN trades AS closed ON closed.seq = CAST(substr(last, -20) AS INTEGER)
"""

_ORDERS: Final[dict[TimeColumn, str]] = {"accepted_at": "seq", "ts": "ts || printf('%020d', seq)"}

_STATEMENTS: Final = {column: _BARS.format(column=column, order=order) for column, order in _ORDERS.items()}

_NEWEST: Final = """
SELECT max({column}) FROM trades INDEXED BY trades_symbol
WHERE symbol = ? AND seq BETWEEN ? AND ? AND {column} < ?
"""

_Row = tuple[int, str, str, str, Any, Any, str, str]


class Wanted(NamedTuple):
    """Which bars are wanted: ``step`` and ``seconds`` are the lengths of a bar and of the window."""

    symbol: str
    column: TimeColumn
    step: int
    seconds: int
    before: Timestamp | None = None


class Window(Struct):
    """The bars that begin from ``since`` until before ``until``, in seconds since 1970.

    ``last_at`` is the newest trade before the time that was asked for, and in the window; None when there is none.
    ``parts`` are those that are still to be read.
    """

    wanted: Wanted
    since: int
    until: int
    last_at: Timestamp | None
    last_seq: int
    parts: list[Part]


def find_window(
    journal: Journal, blocks: BlockRanges, wanted: Wanted, *, clock: Callable[[], datetime] = now
) -> Window:
    """Find the newest window that has a trade, and that ends at ``wanted.before`` or earlier.

    It ends with the bar that ``before`` is in, by default now, unless it would be empty: then with the bar of the
    newest trade. Raises JournalError.
    """
    symbol, column, step, seconds, before = wanted
    with journal.read_transaction():
        last_seq = journal.last_seq()
        # Read after ``last_seq``: trades up to it have earlier times, unless the clock stepped back.
        before = before or format_timestamp(clock() + (AHEAD if column == "ts" else timedelta()))
        last_at = _find_newest(journal, blocks, symbol, column, before)
        count = -(-seconds // step)
        # Nothing is at ``before`` itself, so a bar that begins there is not in the window.
        until = -(-_read_seconds(before) // step) * step
        since = until - count * step
        if last_at is not None and _read_seconds(last_at) < since:
            until = int(_read_seconds(last_at)) // step * step + step
            since = until - count * step
        parts = [] if last_at is None else list_parts(journal, blocks, _write(since), _write(until), column)
        return Window(wanted, int(since), int(until), last_at, last_seq, parts)


def _find_newest(
    journal: Journal, blocks: BlockRanges, symbol: str, column: TimeColumn, before: Timestamp
) -> Timestamp | None:
    """Find the time of the newest trade of a symbol before a time: in the blocks with the newest times first."""
    newest: Timestamp | None = None
    parts = list_parts(journal, blocks, FIRST_TIME, before, column)
    for part in sorted(parts, key=lambda part: part.times[1] if part.times else before, reverse=True):
        if newest is not None and part.times is not None and part.times[1] <= newest:
            return newest
        (found,) = journal.query(_NEWEST.format(column=column), symbol, part.first, part.last, before)[0]
        newest = max(filter(None, (newest, found)), default=None)
    return newest


class BarReader:
    """Reads the bars of windows; those of full blocks are kept."""

    def __init__(self) -> None:
        """Start with none kept."""
        self._cache: BlockCache[list[_BlockBar]] = BlockCache(len)

    def step(self, journal: Journal, window: Window) -> list[list[_BlockBar]]:
        """Read the bars of the newest parts that are left, until one had to be computed. Raises JournalError."""
        name = window.wanted[:3]
        return self._cache.step(window.parts, name, partial(self._read, journal, window))

    @staticmethod
    def _read(journal: Journal, window: Window, part: Part) -> list[_BlockBar]:
        symbol, column, step = window.wanted[:3]
        rows = journal.query(_STATEMENTS[column], symbol, part.first, part.last, step, step, step)
        with localcontext(EXACT):
            return [*_merge(map(_read_row, rows)).values()]


def merge_bars(window: Window, read: Iterable[list[_BlockBar]]) -> list[Bar]:
    """Merge what was read of a window into its bars, in order of time."""
    inside = (each for block in read for each in block if window.since <= each.bar.time < window.until)
    with localcontext(EXACT):
        merged = _merge(inside)
    return [merged[time].bar for time in sorted(merged)]


def _read_row(row: _Row) -> _BlockBar:
    time, side, prices, quantities, first, last, opened, closed = row
    decimals = [*map(Decimal, prices.split())]
    quantity = sum(map(Decimal, quantities.split()), Decimal(0))
    bought = quantity if side == "BUY" else Decimal(0)
    bar = Bar(time, Decimal(opened), max(decimals), min(decimals), Decimal(closed), quantity, bought, len(decimals))
    return _BlockBar(first, last, bar)


def _merge(bars: Iterable[_BlockBar]) -> dict[int, _BlockBar]:
    """Merge bars of the same time; those that were given stay as they are."""
    merged: dict[int, _BlockBar] = {}
    for each in bars:
        known = merged.get(each.bar.time)
        merged[each.bar.time] = each if known is None else _add(known, each)
    return merged


def _add(one: _BlockBar, other: _BlockBar) -> _BlockBar:
    a, b = one.bar, other.bar
    bar = Bar(
        a.time,
        a.open if one.first < other.first else b.open,
        max(a.high, b.high),
        min(a.low, b.low),
        a.close if one.last > other.last else b.close,
        a.quantity + b.quantity,
        a.buy_quantity + b.buy_quantity,
        a.trades + b.trades,
    )
    return _BlockBar(min(one.first, other.first), max(one.last, other.last), bar)


def _read_seconds(time: Timestamp) -> float:
    return datetime.fromisoformat(time).timestamp()


def _write(seconds: float) -> Timestamp:
    try:
        return format_timestamp(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError):
        # Before the first or after the last year that a time can have.
        return FIRST_TIME if seconds < 0 else LAST_TIME

"""Summaries of the newest trades: exact totals by symbol."""

import operator
from collections.abc import Callable, Iterable
from copy import copy
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from functools import partial
from operator import attrgetter, itemgetter
from typing import Final

from msgspec import Struct

from common.journal.block_cache import list_parts
from common.journal.block_ranges import BlockRanges, Part
from common.journal.block_tree import BlockTree
from common.journal.store import Journal
from common.journal.symbols import list_newest
from common.quotes import CURRENCIES, find_quote
from common.tally import EXACT
from common.timestamps import Timestamp, format_timestamp, now

SYMBOLS_LIMIT: Final = 200

_ZERO: Final = Decimal(0)

SYMBOLS_SEARCHED: Final = 5000
"""Symbols that are looked at to find those that have no trade in a window."""


class SymbolSummary(Struct):
    """One symbol in the window; ``quantity`` in units of the symbol, ``notional`` is the sum of price × quantity.

    Only notionals of one ``quote`` currency may be added up. ``last_price`` and ``last_at``, its time of acceptance,
    are of the newest trade, which is older than the window when ``trades`` is 0.
    """

    symbol: str
    quote: str
    trades: int = 0
    buys: int = 0
    buy_notional: Decimal = Decimal(0)
    quantity: Decimal = Decimal(0)
    notional: Decimal = Decimal(0)
    last_price: str = ""
    last_at: Timestamp = ""

    def add(self, older: "SymbolSummary") -> None:
        """Add earlier trades of the symbol, in a context that rounds no sum."""
        self.trades += older.trades
        self.buys += older.buys
        self.buy_notional += older.buy_notional
        self.quantity += older.quantity
        self.notional += older.notional


class Span(Struct):
    """The trades accepted from ``since`` until ``until``; ``parts`` are those that are still to be read."""

    since: Timestamp
    until: Timestamp
    last_seq: int
    parts: list[Part]


# SQLite's sums are floats, so it only joins the decimals, which is faster than a row per trade.
_SYMBOLS: Final = """
SELECT symbol, side, group_concat(price, ' '), group_concat(qty, ' '), price, accepted_at, max(seq)
FROM trades NOT INDEXED WHERE seq BETWEEN ? AND ? AND (? OR accepted_at BETWEEN ? AND ?) GROUP BY symbol, side
"""
"""The price and the time are those of the row with the highest seq."""


def find_span(journal: Journal, blocks: BlockRanges, window: timedelta, *, clock: Callable[[], datetime] = now) -> Span:
    """Find what was accepted from a ``window`` ago until now. Raises JournalError.

    A trade whose time is later than now is not in it.
    """
    with journal.read_transaction():
        last_seq = journal.last_seq()
        # Read after ``last_seq``: trades up to it have earlier timestamps, unless the clock stepped back.
        end = clock()
        since, until = format_timestamp(end - window), format_timestamp(end)
        parts = list_parts(journal, blocks, since, until, "accepted_at")
    # What is kept of a block is all of it.
    return Span(since, until, last_seq, [each if each.is_inside(since, until) else each.cut() for each in parts])


Totals = dict[str, SymbolSummary]
"""Summaries by symbol."""


class TotalsReader:
    """Reads the totals of spans by symbol; those of full blocks are kept, and merged."""

    def __init__(self, currencies: tuple[str, ...] = CURRENCIES) -> None:
        """Start with none kept; ``currencies`` are the quote currencies that are known."""
        self._currencies = currencies
        self._tree: BlockTree[Totals] = BlockTree(lambda totals: add_up(reversed(totals)), len)

    def step(self, journal: Journal, span: Span) -> list[Totals]:
        """Read the totals of the newest parts that are left, until one had to be computed. Raises JournalError."""
        return self._tree.step(span.parts, partial(self._read, journal, span))

    def _read(self, journal: Journal, span: Span, part: Part) -> Totals:
        rows = journal.query(_SYMBOLS, part.first, part.last, part.is_block, span.since, span.until)
        found: Totals = {}
        with localcontext(EXACT):
            # In the descending order of their newest trades: the first that is read of a symbol has its last price.
            newest_first = sorted(rows, key=itemgetter(6), reverse=True)
            for symbol, side, prices, quantities, last_price, last_at, _ in newest_first:
                amounts = list(map(Decimal, quantities.split()))
                notional = sum(map(operator.mul, map(Decimal, prices.split()), amounts), _ZERO)
                bought = (len(amounts), notional) if side == "BUY" else (0, _ZERO)
                total = SymbolSummary(
                    symbol, "", len(amounts), *bought, sum(amounts, _ZERO), notional, last_price, last_at
                )
                if symbol in found:
                    found[symbol].add(total)
                else:
                    total.quote = find_quote(symbol, self._currencies)
                    found[symbol] = total
        return found

    def read_quiet(self, journal: Journal) -> list[SymbolSummary]:
        """Read the newest trade of each symbol, as a summary without trades: the newest first. Raises JournalError."""
        newest = sorted(list_newest(journal, SYMBOLS_SEARCHED), key=attrgetter("seq"), reverse=True)
        return [
            SymbolSummary(symbol, find_quote(symbol, self._currencies), last_price=price, last_at=accepted_at)
            for symbol, price, accepted_at, _ in newest
        ]


def add_up(read: Iterable[Totals]) -> Totals:
    """Add up totals, the newest first; what was given stays as it is."""
    added: Totals = {}
    with localcontext(EXACT):
        for totals in read:
            for symbol, total in totals.items():
                known = added.get(symbol)
                if known is None:
                    added[symbol] = copy(total)
                else:
                    known.add(total)
    return added


def list_symbols(totals: Totals, quiet: Iterable[SymbolSummary] = ()) -> list[SymbolSummary]:
    """List the symbols with the most notional, then the ``quiet`` ones: SYMBOLS_LIMIT at most."""
    listed = sorted(totals.values(), key=attrgetter("notional"), reverse=True)
    return [*listed, *(each for each in quiet if each.symbol not in totals)][:SYMBOLS_LIMIT]

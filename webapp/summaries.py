"""Summaries of the journal over a window, and the bars of its symbols, for the desk."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from time import monotonic
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from common.journal.bars import Bar, BarReader, Wanted, Window, find_window, merge_bars
from common.journal.block_ranges import BlockRanges, Part, TimeColumn
from common.journal.store import Journal
from common.journal.summaries import SYMBOLS_LIMIT, SymbolSummary, TotalsReader, add_up, find_span, list_symbols
from common.timestamps import Timestamp
from webapp.reader import JournalReader
from webapp.sharing import share

CACHE_SECONDS: Final = 5.0
"""How long one summary is shared by requests with the same parameters."""

CACHE_SIZE: Final = 64

BUDGET_SECONDS: Final = 1.5
"""How long one answer reads the journal. What it read is kept, so the next one goes on from there."""

T = TypeVar("T")


class Summary(Struct):
    """The trades accepted from ``since`` until now; not ``complete`` when older ones were not read yet."""

    since: Timestamp
    last_seq: int
    complete: bool
    symbols: list[SymbolSummary]
    symbol: str | None
    step: int
    bars: list[Bar]


class ChartBar(Struct):
    """A bar with its decimals as text."""

    time: int
    open: str
    high: str
    low: str
    close: str
    quantity: str
    buy_quantity: str
    trades: int


class Chart(Struct):
    """One symbol's bars of ``step`` seconds that begin from ``since`` until before ``until``, in seconds since 1970.

    ``last_at`` is the newest trade in or before the window that was asked for; null when there is none. Not
    ``complete`` when some bars were not read yet. ``last_seq`` is the last trade that was looked at.
    """

    symbol: str
    time: TimeColumn
    step: int
    since: int
    until: int
    last_at: Timestamp | None
    last_seq: int
    complete: bool
    bars: list[ChartBar]


_DECIMALS: Final = ("open", "high", "low", "close", "quantity", "buy_quantity")

# A JSON number keeps every digit for a program that reads it as a decimal.
_encoder = msgspec.json.Encoder(decimal_format="number")


class Summaries:
    """Summaries and bars of the journal, with a reader of their own: they take longer than a look-up."""

    def __init__(self, reader: JournalReader, currencies: tuple[str, ...]) -> None:
        """Keep the reader, and the quote currencies that are known."""
        self._reader = reader
        self._blocks = BlockRanges()
        self._totals = TotalsReader(currencies)
        self._bars = BarReader()
        self.get = share(self._summarise, CACHE_SECONDS, CACHE_SIZE)

    def _summarise(self, window: int, step: int, symbol: str | None) -> bytes:
        """Return one summary as JSON; ``window`` and ``step`` in seconds. Raises JournalError."""
        began = monotonic()
        span = self._find(partial(find_span, blocks=self._blocks, window=timedelta(seconds=window)))
        read = self._read(partial(self._totals.step, span=span), span.parts, began)
        totals = add_up(read)
        quiet = self._reader.ask(self._totals.read_quiet) if len(totals) < SYMBOLS_LIMIT else ()
        symbols = list_symbols(totals, quiet)
        complete, bars = not span.parts, list[Bar]()
        chosen = symbol or (symbols[0].symbol if symbols else None)
        if chosen is not None:
            found, bars = self._read_bars(Wanted(chosen, "accepted_at", step, window))
            complete = complete and not found.parts
            if found.last_at is None or found.last_at < span.since:
                bars = []
        return _encoder.encode(Summary(span.since, span.last_seq, complete, symbols, chosen, step, bars)) + b"\n"

    def get_bars(self, wanted: Wanted) -> bytes:
        """Return the bars of the newest window that has trades, as JSON. Raises JournalError."""
        found, bars = self._read_bars(wanted)
        symbol, column, step = wanted[:3]
        ends = (found.since, found.until, found.last_at, found.last_seq, not found.parts)
        return _encoder.encode(Chart(symbol, column, step, *ends, [_write_bar(bar) for bar in bars])) + b"\n"

    def _read_bars(self, wanted: Wanted) -> tuple[Window, list[Bar]]:
        began = monotonic()
        window = self._find(partial(find_window, blocks=self._blocks, wanted=wanted))
        read = self._read(partial(self._bars.step, window=window), window.parts, began)
        return window, merge_bars(window, read)

    def _find(self, find: Callable[[Journal], T]) -> T:
        """Return what is found in the journal once the times of all blocks are known."""

        def try_to_find(journal: Journal) -> T | None:
            return find(journal) if self._blocks.step(journal) else None

        while (found := self._reader.ask(try_to_find)) is None:
            pass
        return found

    def _read(self, step: Callable[[Journal], list[T]], parts: list[Part], began: float) -> list[T]:
        """Read the parts step by step, so that others can read in between, until BUDGET_SECONDS after ``began``."""
        found = self._reader.ask(step)
        while parts and monotonic() - began < BUDGET_SECONDS:
            found += self._reader.ask(step)
        return found


def _write_bar(bar: Bar) -> ChartBar:
    opened, high, low, close, quantity, bought = (_write(getattr(bar, name)) for name in _DECIMALS)
    return ChartBar(bar.time, opened, high, low, close, quantity, bought, bar.trades)


def _write(decimal: Decimal) -> str:
    text = str(decimal)
    # To format takes ten times as long.
    return format(decimal, "f") if "E" in text else text

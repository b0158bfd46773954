"""The state: what has been counted, a pure function of the events. It uses no clock, socket or file."""

from collections.abc import Iterator, Sequence
from decimal import Decimal, getcontext, setcontext
from itertools import chain, repeat
from operator import attrgetter, sub
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from common.decimals import DecimalText
from common.event import SIDES, Event, Side
from common.histogram import Histogram
from common.journal.batches import Batch, group
from common.quotes import OTHER_QUOTE, find_quote
from common.settings import Settings
from common.tally import EXACT, Count, Tally, read_fills
from common.timestamps import Timestamp, is_in_calendar, read_all_micros, read_micros
from common.wire.hints import Hint
from common.wire.messages import BAD_MESSAGE_REASONS
from sidecar.position import WIDE
from sidecar.positions import Counted, Positions
from sidecar.sources import Sources
from sidecar.workers import Workers

STATE_VERSION: Final = 7

OTHER: Final = OTHER_QUOTE
"""The symbol and the quote of the trades past the limits; in lower case, so no trade can have it."""

QUOTE_LIMIT: Final = 50
"""Quotes with series of their own, besides the known currencies: symbols are users' input."""

NOTIONAL_BOUNDS: Final = (*(Decimal(factor * 10**power) for power in range(7) for factor in (1, 3)), Decimal(10**7))
DELAY_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

OVERFLOW_SYMBOLS: Final = 100
"""Symbols past the limit whose trades are counted by name, for the log."""

_READ_NEWEST_SEQ: Final = attrgetter("newest_seq")

Reason = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,64}\Z")]
Source = Literal["live", "journal"]
SOURCES: Final[tuple[Source, ...]] = ("live", "journal")


class Symbol(Struct):
    """The totals of one symbol; ``last_price`` and ``last_ts`` are of the trade with the newest ``ts``."""

    tallies: dict[Side, Tally] = field(default_factory=lambda: {side: Tally() for side in SIDES})
    last_price: DecimalText | None = None
    last_ts: Timestamp | None = None


def make_histograms() -> dict[Side, Histogram]:
    """Make the empty notional histograms of one quote."""
    return {side: Histogram.over(NOTIONAL_BOUNDS) for side in SIDES}


class Observed(Struct):
    """What is not in the journal: the sidecar's own observations, and the workers' totals."""

    delay: Histogram = field(default_factory=lambda: Histogram.over(DELAY_BOUNDS))
    events: dict[Source, Count] = field(default_factory=lambda: dict.fromkeys(SOURCES, 0))
    duplicates: Count = 0
    gaps: Count = 0
    rejected: dict[Reason, Count] = field(default_factory=lambda: dict.fromkeys(BAD_MESSAGE_REASONS, 0))
    workers: Workers = field(default_factory=Workers)

    def observe_delays(self, hints: Sequence[Hint], received: Sequence[tuple[int, float]]) -> None:
        """Observe the delays of live events: so many were received at each time, in seconds since 1970."""
        ends = chain.from_iterable(repeat(round(at * 1_000_000), trades) for trades, at in received)
        values = list(map(sub, ends, read_all_micros([hint.accepted_at for hint in hints])))
        if min(values) < 0:
            # A clock that ran backwards makes no negative delay.
            values = [max(0, value) for value in values]
        times = list(chain.from_iterable(repeat(at, trades) for trades, at in received))
        self.delay.observe_all(values, [hint.request_id for hint in hints], times)

    def observe_delay(self, accepted_at: Timestamp, request_id: str, counted_at: float, trades: int = 1) -> None:
        """Observe the delay of live events of one request, counted at ``counted_at``, in seconds since 1970."""
        self.delay.observe(max(0.0, counted_at - read_seconds(accepted_at)), request_id, counted_at, trades)

    def __post_init__(self) -> None:
        """Change to the bounds and reasons of this version: those missing from a file start at 0."""
        self.delay.rebound(DELAY_BOUNDS)
        self.events = dict.fromkeys(SOURCES, 0) | self.events
        self.rejected = dict.fromkeys(BAD_MESSAGE_REASONS, 0) | self.rejected


class State(Struct):
    """Everything the sidecar counts, up to and including ``last_seq`` of the journal ``journal_id``.

    ``notional`` is the notional of trades by quote and side. ``overflow_symbols`` counts the trades of some symbols
    past the limit; the frequent ones are always among them. ``positions`` are None when they are not kept.
    """

    journal_id: str
    last_seq: Count = 0
    symbols: dict[str, Symbol] = field(default_factory=dict)
    overflow_trades: Count = 0
    overflow_symbols: dict[str, Count] = field(default_factory=dict)
    notional: dict[str, dict[Side, Histogram]] = field(default_factory=lambda: {OTHER: make_histograms()})
    sources: Sources = field(default_factory=Sources)
    positions: Positions | None = field(default_factory=Positions)
    observed: Observed = field(default_factory=Observed)
    version: int = STATE_VERSION

    def __post_init__(self) -> None:
        """Change to the bounds of this version."""
        for by_side in self.notional.values():
            for histogram in by_side.values():
                histogram.rebound(NOTIONAL_BOUNDS)

    def count_trades(self) -> int:
        """Return how many trades are counted."""
        return sum(tally.trades for symbol in self.symbols.values() for tally in symbol.tallies.values())

    def count_series(self) -> int:
        """Return how many labels have series of their own."""
        return len(self.symbols) + len(self.notional) + len(self.sources.totals) + len(self.sources.notional)

    def list_series(self) -> Iterator[tuple[str, str]]:
        """List the labels, with their values, that have series of their own."""
        yield from (("symbol", name) for name in self.symbols)
        yield from (("quote", quote) for quote in self.notional)
        yield from (("source", source) for source in self.sources.totals)
        yield from (("source quote", key) for key in self.sources.notional)

    def find_fault(self) -> str | None:
        """Return what no sequence of events can lead to, or None; a file may hold anything."""
        counted = 0
        for side in SIDES:
            tallies = [symbol.tallies.get(side) for symbol in self.symbols.values()]
            histograms = [by_side.get(side) for by_side in self.notional.values()]
            if None in tallies or None in histograms or OTHER not in self.notional:
                return f"side {side} is missing"
            trades = sum(tally.trades for tally in tallies if tally)
            if trades != sum(sum(histogram.buckets.values()) for histogram in histograms if histogram):
                return f"{trades} trades of side {side}, but another number in the notional buckets"
            if trades != self.sources.count_trades(side):
                return f"{trades} trades of side {side}, but another number by source"
            counted += trades
        if counted > self.last_seq or (counted == 0 and self.last_seq > 0):
            return f"{counted} trades up to seq {self.last_seq}"
        for symbol in self.symbols.values():
            for timestamp in (symbol.last_ts, *(tally.created_at for tally in symbol.tallies.values())):
                if timestamp is not None and not is_in_calendar(timestamp):
                    return f"{timestamp} is not in the calendar"
        fault = None if self.positions is None else self.positions.find_fault(self._net())
        return fault or self.sources.find_fault() or self.observed.workers.find_fault()

    def _net(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Return the quantity bought less that sold of each symbol, and what sales brought less what purchases took."""
        found = {}
        for name, symbol in self.symbols.items():
            bought, sold = (symbol.tallies[side] for side in SIDES)
            found[name] = (
                EXACT.subtract(bought.quantity, sold.quantity),
                EXACT.subtract(sold.notional, bought.notional),
            )
        found.pop(OTHER, None)
        return found

    def register(self, settings: Settings) -> None:
        """Add the series of ``trading_symbols`` before their first trade."""
        for symbol in settings.trading_symbols:
            self.symbols.setdefault(symbol, Symbol())
            self._find_quote(symbol, settings)

    def apply(self, events: Sequence[Event | Hint], source: Source, settings: Settings) -> None:
        """Count events past ``last_seq``, in ``seq`` order; what is past a limit of ``settings`` goes under OTHER."""
        self.count(group(events), source, settings)

    def receive(self, received: Sequence[tuple[Sequence[Hint], float]], settings: Settings) -> None:
        """Count live events as ``apply`` does, with when they were received, in seconds since 1970."""
        hints = [hint for each, _ in received for hint in each]
        self.apply(hints, "live", settings)
        self.observed.observe_delays(hints, [(len(each), at) for each, at in received])

    def count(self, batches: Sequence[Batch], source: Source, settings: Settings) -> None:
        """Count batches of events past ``last_seq``; what is past a limit of ``settings`` goes under OTHER.

        Batches are in the order of their first events, which decides what gets series of its own.
        """
        outer = getcontext()
        # Once for all: localcontext() takes as long as counting a trade.
        setcontext(WIDE)
        try:
            self._count(batches, source, settings)
        finally:
            setcontext(outer)

    def _count(self, batches: Sequence[Batch], source: Source, settings: Settings) -> None:
        counted: list[Counted] = []
        prices = [price for batch in batches for price in batch.prices]
        fills = read_fills(prices, [quantity for batch in batches for quantity in batch.quantities])
        start = 0
        for batch in batches:
            end = start + len(batch.prices)
            symbol = self.symbols.get(batch.symbol) or self._add_symbol(batch, settings.symbol_limit)
            tally = symbol.tallies[batch.side]
            tally.created_at = tally.created_at or batch.first_accepted_at
            quantity, notional = fills.total(start, end)
            tally.count(end - start, quantity, notional)
            quote = self._find_quote(batch.symbol, settings)
            self.notional[quote][batch.side].count(fills.notionals[start:end], fills.notional_places, notional)
            self.sources.count(batch, quote, notional, settings.source_limit)
            counted.append(Counted(batch, start, end, notional))
            self.last_seq = max(self.last_seq, batch.last_seq)
            start = end
        if self.positions is not None:
            self.positions.count(counted, fills, self.symbols, self.sources.totals)
        self.observed.events[source] += start
        # Of trades with the same ts the later seq is the newer, whichever side it is on.
        for batch in sorted(batches, key=_READ_NEWEST_SEQ):
            symbol = self.symbols.get(batch.symbol) or self.symbols[OTHER]
            if symbol.last_ts is None or batch.newest_ts >= symbol.last_ts:
                symbol.last_price, symbol.last_ts = batch.newest_price, batch.newest_ts

    def _add_symbol(self, first: Batch, limit: int) -> Symbol:
        name = first.symbol
        if len(self.symbols) - (OTHER in self.symbols) >= limit:
            self.overflow_trades += len(first.prices)
            self._count_overflow(name, len(first.prices))
            name = OTHER
        return self.symbols.setdefault(name, Symbol())

    def _find_quote(self, symbol: str, settings: Settings) -> str:
        quote = find_quote(symbol, settings.quote_currencies)
        if quote not in self.notional:
            if len(self.notional) >= QUOTE_LIMIT and quote not in settings.quote_currencies:
                quote = OTHER
            else:
                self.notional[quote] = make_histograms()
        return quote

    def _count_overflow(self, name: str, trades: int) -> None:
        # The Space-Saving sketch (Metwally, Agrawal, El Abbadi 2005) bounds memory: symbols are users' input.
        names = self.overflow_symbols
        if name not in names and len(names) >= OVERFLOW_SYMBOLS:
            rarest = min(names, key=names.__getitem__)
            trades += names.pop(rarest)
        names[name] = names.get(name, 0) + trades


def read_seconds(timestamp: Timestamp) -> float:
    """Return a timestamp as seconds since 1970."""
    return read_micros(timestamp) / 1_000_000

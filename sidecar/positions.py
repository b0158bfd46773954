"""Positions: what is held of each symbol, its average cost, and the profit and loss. A pure function of the events."""

from collections.abc import Container, Iterator, Mapping, Sequence
from decimal import ROUND_05UP, Context, Decimal
from itertools import repeat
from typing import Final, NamedTuple

from msgspec import Struct, field

from common.decimals import PLACES
from common.journal.batches import Batch
from common.tally import EXACT, SUM_MAX, SUM_PLACES, Count
from common.timestamps import Timestamp, is_in_calendar
from sidecar.sources import OTHER_SOURCE

BY_SOURCE_LIMIT: Final = 10_000
"""Positions by symbol and source: past it, the source is OTHER_SOURCE, of which each symbol may have one more."""

ZERO: Final = Decimal(0)

_UNIT: Final = Decimal(1).scaleb(-PLACES)

WIDE: Final = Context(prec=160, rounding=ROUND_05UP)
"""Rounds no sum, and no product of a cost and a quantity, of up to 155 digits; its quotients can be rounded again."""

NARROW: Final = Context(prec=SUM_MAX.adjusted() + PLACES + 2, rounding=ROUND_05UP)
"""As WIDE, for the quotients that are no larger than a sum: a division takes half as long."""


class Counted(NamedTuple):
    """A batch with the quantity and the notional of each of its trades, and with the sum of the notionals."""

    batch: Batch
    quantities: Sequence[Decimal]
    notionals: Sequence[Decimal]
    notional: Decimal


Fill = tuple[int, Decimal, Decimal, str, str]
"""A trade: its seq, its quantity and notional, which are below 0 for a sale, its price, and the source of its row."""


class Position(Struct):
    """One position by average cost: ``quantity`` and ``cost``, what is held has cost, are below 0 when it is short.

    ``cash`` is what sales brought less what purchases took; ``fees`` are in no other number.
    """

    quantity: Decimal = ZERO
    cash: Decimal = ZERO
    cost: Decimal = ZERO
    fees: Decimal = ZERO

    def apply(self, fills: Sequence[Fill]) -> None:
        """Change what is held, and its cost, by trades in the order of their seqs, in the context WIDE."""
        held, cost = self.quantity, self.cost
        for _, quantity, notional, price, _ in fills:
            after = held + quantity
            if held.is_signed() == quantity.is_signed():
                cost += notional
            elif after and after.is_signed() == held.is_signed():
                cost = EXACT.quantize(NARROW.divide(cost * after, held), _UNIT)
            else:
                # Closed; what is left of the trade opens the other side at its price.
                cost = Decimal(price) * after
            held = after
        self.quantity, self.cost = held, cost

    @property
    def average_price(self) -> Decimal | None:
        """The average price of what is held, rounded half-even to 18 decimals; None when nothing is."""
        # What is rounded to 0 keeps its sign until it is added to.
        return EXACT.plus(divide(self.cost, self.quantity)) if self.quantity else None

    @property
    def realized_pnl(self) -> Decimal:
        """The profit of what was closed, before fees."""
        return EXACT.add(self.cash, self.cost)

    def value_at(self, price: Decimal) -> Decimal:
        """Return the profit, before fees, that closing at this price would add."""
        return EXACT.fma(self.quantity, price, self.cost.copy_negate())

    def is_possible(self) -> bool:
        """Return whether trades can lead to these numbers; a file may hold any."""
        for value in (self.quantity, self.cash, self.cost, self.fees):
            # The exponent of infinity and NaN is a letter.
            exponent = value.as_tuple().exponent
            if not isinstance(exponent, int) or exponent < -SUM_PLACES or value.copy_abs() >= SUM_MAX:
                return False
        same_sign = self.cost.is_signed() == self.quantity.is_signed()
        return self.fees >= 0 and (not self.cost or (bool(self.quantity) and same_sign))


class SymbolPositions(Struct):
    """The positions of one symbol: over all sources, and by source.

    ``sources`` is empty as long as only ``source`` has traded it: its position is the one over all.
    """

    source: str
    total: Position = field(default_factory=Position)
    sources: dict[str, Position] = field(default_factory=dict)

    def list_sources(self) -> Iterator[tuple[str, Position]]:
        """List the positions by source, in the order of their first trades."""
        yield from self.sources.items() if self.sources else ((self.source, self.total),)

    def add(self, source: str) -> None:
        """Add the position of another source."""
        if not self.sources:
            total = self.total
            self.sources[self.source] = Position(total.quantity, total.cash, total.cost, total.fees)
        self.sources[source] = Position()

    def add_cash(self, source: str, cash: Decimal, fees: Decimal) -> None:
        """Add what trades brought, below 0 when they took it, and their fees, in the context WIDE."""
        self.total.cash += cash
        self.total.fees += fees
        if self.sources:
            own = self.sources[source]
            own.cash += cash
            own.fees += fees

    def apply(self, fills: list[Fill]) -> None:
        """Apply trades, in any order, in the context WIDE."""
        fills.sort()
        self.total.apply(fills)
        if self.sources and len(fills) == 1:
            self.sources[fills[0][-1]].apply(fills)
        elif self.sources:
            by_source: dict[str, list[Fill]] = {}
            for fill in fills:
                by_source.setdefault(fill[-1], []).append(fill)
            for source, own in by_source.items():
                self.sources[source].apply(own)

    def find_fault(self) -> str | None:
        """Return what no trades can lead to, or None."""
        total, parts = self.total, [position for _, position in self.list_sources()]
        if not all(position.is_possible() for position in (total, *parts)):
            return "impossible"
        for name in ("quantity", "cash", "fees"):
            sum_ = ZERO
            for part in parts:
                sum_ = EXACT.add(sum_, getattr(part, name))
            if sum_ != getattr(total, name):
                return f"{name} is not that of all sources"
        return None if self.sources.keys() >= ({self.source} if self.sources else set()) else "first source"


class Row(NamedTuple):
    """A position with its symbol and its source; None: of all sources."""

    symbol: str
    source: str | None
    position: Position


class Positions(Struct):
    """The positions by symbol, of the trades after ``after_seq``; ``since`` is when the first of these was accepted.

    ``overflow`` counts the trades of symbols past the limit, which have no position: one of several symbols would mean
    nothing. ``rows`` is the number of positions by source.
    """

    symbols: dict[str, SymbolPositions] = field(default_factory=dict)
    rows: Count = 0
    overflow: Count = 0
    after_seq: Count = 0
    since: Timestamp | None = None

    def count(self, counted: Sequence[Counted], symbols: Container[str], sources: Container[str]) -> None:
        """Count batches, in the context WIDE, by their first events; ``symbols`` and ``sources`` have own series."""
        if self.since is None and counted:
            self.since = counted[0].batch.first_accepted_at
        for symbol, fills in self._sort(counted, symbols, sources).items():
            self.symbols[symbol].apply(fills)

    def _sort(
        self, counted: Sequence[Counted], symbols: Container[str], sources: Container[str]
    ) -> dict[str, list[Fill]]:
        found: dict[str, list[Fill]] = {}
        for each in counted:
            batch = each.batch
            symbol = batch.symbol
            if symbol not in symbols:
                self.overflow += len(batch.prices)
                continue
            source = self._find_row(symbol, batch.source if batch.source in sources else OTHER_SOURCE)
            fills = _read_fills(each, source)
            if symbol in found:
                found[symbol] += fills
            else:
                found[symbol] = list(fills)
            cash = each.notional if batch.side == "SELL" else -each.notional
            self.symbols[symbol].add_cash(source, cash, sum(map(Decimal, batch.fees), ZERO))
        return found

    def _find_row(self, symbol: str, source: str) -> str:
        """Return the source of the row that has trades of ``source``; make it when there is none."""
        held = self.symbols.get(symbol)
        if held is not None and (source == held.source or source in held.sources):
            return source
        if self.rows >= BY_SOURCE_LIMIT and source != OTHER_SOURCE:
            return self._find_row(symbol, OTHER_SOURCE)
        if held is None:
            self.symbols[symbol] = SymbolPositions(source)
        else:
            held.add(source)
        self.rows += 1
        return source

    def list_rows(self) -> Iterator[Row]:
        """List the positions in the order of the first trades, by symbol the one over all sources first."""
        for symbol, held in self.symbols.items():
            yield Row(symbol, None, held.total)
            for source, position in held.list_sources():
                yield Row(symbol, source, position)

    def find_fault(self, totals: Mapping[str, tuple[Decimal, Decimal]]) -> str | None:
        """Return what no sequence of events can lead to, or None; a file may hold anything.

        ``totals`` are each symbol's quantity and cash by the totals of all trades.
        """
        for symbol, held in self.symbols.items():
            fault = held.find_fault()
            if symbol not in totals or fault is not None:
                return f"position of {symbol[:64]!r}: {fault or 'no trades'}"
            if self.after_seq == 0 and (held.total.quantity, held.total.cash) != totals[symbol]:
                return f"position of {symbol[:64]!r}, which is not what was bought less what was sold"
        if self.rows != sum(max(1, len(held.sources)) for held in self.symbols.values()):
            return f"{self.rows} positions by source, but another number of them"
        if self.since is not None and not is_in_calendar(self.since):
            return f"{self.since} is not in the calendar"
        return None


def _read_fills(counted: Counted, source: str) -> Iterator[Fill]:
    batch, quantities, notionals = counted.batch, iter(counted.quantities), iter(counted.notionals)
    if batch.side == "SELL":
        quantities, notionals = map(Decimal.copy_negate, quantities), map(Decimal.copy_negate, notionals)
    return zip(batch.seqs, quantities, notionals, batch.prices, repeat(source))


def divide(dividend: Decimal, divisor: Decimal) -> Decimal:
    """Divide, rounded once, half-even, to 18 decimals."""
    return EXACT.quantize(WIDE.divide(dividend, divisor), _UNIT)

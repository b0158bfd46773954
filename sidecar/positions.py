"""Positions: what is held of each symbol, its average cost, and the profit and loss. A pure function of the events."""

from collections.abc import Container, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import repeat
from operator import neg
from typing import Final, NamedTuple

from msgspec import Struct, field

from common.journal.batches import Batch
from common.tally import EXACT, Count, Fills
from common.timestamps import Timestamp, is_in_calendar
from sidecar.position import ZERO, Fill, Position
from sidecar.sources import OTHER_SOURCE

BY_SOURCE_LIMIT: Final = 10_000
"""Positions by symbol and source: past it, the source is OTHER_SOURCE, of which each symbol may have one more."""


class Counted(NamedTuple):
    """A batch, where its trades are among those that are counted together, and the sum of their notionals."""

    batch: Batch
    start: int
    end: int
    notional: Decimal

    def list_fills(self, fills: Fills, source: str) -> Iterator[Fill]:
        """List its trades, with the source of their row."""
        quantities, notionals = fills.quantities[self.start : self.end], fills.notionals[self.start : self.end]
        if self.batch.side == "SELL":
            return zip(self.batch.seqs, map(neg, quantities), map(neg, notionals), repeat(source))
        return zip(self.batch.seqs, quantities, notionals, repeat(source))


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

    def apply(self, fills: list[Fill], places: int, notional_places: int) -> None:
        """Apply trades, in any order, in the context WIDE; see ``Position.apply``."""
        fills.sort()
        self.total.apply(fills, places, notional_places)
        if self.sources and len(fills) == 1:
            self.sources[fills[0][-1]].apply(fills, places, notional_places)
        elif self.sources:
            by_source: dict[str, list[Fill]] = {}
            for fill in fills:
                by_source.setdefault(fill[-1], []).append(fill)
            for source, own in by_source.items():
                self.sources[source].apply(own, places, notional_places)

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

    def count(self, counted: Sequence[Counted], fills: Fills, symbols: Container[str], sources: Container[str]) -> None:
        """Count batches, in the context WIDE, by their first events; ``symbols`` and ``sources`` have own series."""
        if self.since is None and counted:
            self.since = counted[0].batch.first_accepted_at
        found: dict[str, list[Fill]] = {}
        for each in counted:
            batch = each.batch
            symbol = batch.symbol
            if symbol not in symbols:
                self.overflow += len(batch.prices)
                continue
            source = self._find_row(symbol, batch.source if batch.source in sources else OTHER_SOURCE)
            if symbol in found:
                found[symbol] += each.list_fills(fills, source)
            else:
                found[symbol] = list(each.list_fills(fills, source))
            cash = each.notional if batch.side == "SELL" else -each.notional
            self.symbols[symbol].add_cash(source, cash, sum(map(Decimal, batch.fees), ZERO))
        for symbol, own in found.items():
            self.symbols[symbol].apply(own, fills.places, fills.notional_places)

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

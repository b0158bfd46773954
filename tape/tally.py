"""The tally: how many trades there were, and their exact quantity and notional."""

from decimal import Context, Decimal
from typing import Final

from msgspec import Struct, field

EXACT: Final = Context(prec=100)
"""Wide enough that no sum rounds: a notional has up to 36 + 24 digits, and a journal holds under 10^19 of them."""


class Tally(Struct):
    """A running total; ``quantity`` is in units of the symbol, ``notional`` is the sum of price × quantity."""

    trades: int = 0
    quantity: Decimal = Decimal(0)
    notional: Decimal = Decimal(0)

    def add(self, price: str, qty: str) -> Decimal:
        """Count one trade, and give its notional."""
        amount = Decimal(qty)
        notional = EXACT.multiply(Decimal(price), amount)
        self.trades += 1
        self.quantity = EXACT.add(self.quantity, amount)
        self.notional = EXACT.add(self.notional, notional)
        return notional


class PrunedSymbol(Struct):
    """What the pruned trades of one symbol add up to, by side."""

    tallies: dict[str, Tally]


class PrunedTotals(Struct):
    """The part of the journal's base that others than the sidecar read; it has more fields, which are its own."""

    last_seq: int = 0
    symbols: dict[str, PrunedSymbol] = field(default_factory=dict)

"""The tally: how many trades there were, and their exact quantity and notional."""

import operator
from decimal import Context, Decimal, localcontext
from typing import Final

from msgspec import Struct, field

from tape.event import Instant

EXACT: Final = Context(prec=100)
"""Wide enough that no sum rounds: a notional has up to 36 + 24 digits, and a journal holds under 10^19 of them."""


class Tally(Struct):
    """A running total; ``quantity`` is in units of the symbol, ``notional`` is the sum of price × quantity.

    ``born`` is when its first trade was accepted.
    """

    trades: int = 0
    quantity: Decimal = Decimal(0)
    notional: Decimal = Decimal(0)
    born: Instant | None = None

    def add(self, prices: list[str], quantities: list[str]) -> list[Decimal]:
        """Count trades, and give the notional of each."""
        with localcontext(EXACT):
            amounts = list(map(Decimal, quantities))
            notionals = list(map(operator.mul, map(Decimal, prices), amounts))
            self.quantity = sum(amounts, self.quantity)
            self.notional = sum(notionals, self.notional)
        self.trades += len(amounts)
        return notionals


class PrunedSymbol(Struct):
    """What the pruned trades of one symbol add up to, by side."""

    tallies: dict[str, Tally]


class PrunedTotals(Struct):
    """The part of the journal's base that others than the sidecar read; it has more fields, which are its own."""

    last_seq: int = 0
    symbols: dict[str, PrunedSymbol] = field(default_factory=dict)

"""The tally: how many trades there were, and their exact quantity and notional."""

import operator
from decimal import Context, Decimal, localcontext
from typing import Annotated, Final

from msgspec import Meta, Struct

from common.timestamps import Timestamp

EXACT: Final = Context(prec=100)
"""Wide enough that no sum rounds: a notional has up to 40 + 36 digits, and a journal holds under 10^19 of them."""

SUM_MAX: Final = Decimal(10) ** 62
SUM_PLACES: Final = 38
"""More digits than any sum of trades has before and after the point, and together no more than EXACT keeps."""

COUNT_MAX: Final = 2**63 - 1
Count = Annotated[int, Meta(ge=0, le=COUNT_MAX)]


def check_sum(name: str, value: Decimal) -> None:
    """Check a sum that was read from a file or from the wire. Raises ValueError when trades cannot add up to it."""
    # The exponent of infinity and NaN is a letter.
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or not 0 <= value < SUM_MAX or exponent < -SUM_PLACES:
        message = (
            f"{name} is {value}; expected at least 0, 62 digits before the point and {SUM_PLACES} after it at most"
        )
        raise ValueError(message)


def write_sum(value: Decimal) -> str:
    """Write a sum with all its digits, and no zeros at the end."""
    return f"{value.normalize(EXACT):f}"


class Tally(Struct):
    """A running total; ``quantity`` is in units of the symbol, ``notional`` is the sum of price × quantity.

    ``created_at`` is when its first trade was accepted. Raises ValueError for sums that no trades add up to.
    """

    trades: Count = 0
    quantity: Decimal = Decimal(0)
    notional: Decimal = Decimal(0)
    created_at: Timestamp | None = None

    def __post_init__(self) -> None:
        """Check what was read from a file."""
        check_sum("quantity", self.quantity)
        check_sum("notional", self.notional)

    def add(self, prices: list[str], quantities: list[str]) -> None:
        """Count trades."""
        with localcontext(EXACT):
            self.count(prices, quantities)

    def count(self, prices: list[str], quantities: list[str]) -> tuple[list[Decimal], list[Decimal]]:
        """Count trades, and return the quantity and the notional of each, in a context that rounds no sum.

        Whole numbers of the smallest unit are no faster: reading them out of the texts takes what adding them up saves.
        """
        amounts = list(map(Decimal, quantities))
        notionals = list(map(operator.mul, map(Decimal, prices), amounts))
        self.quantity = sum(amounts, self.quantity)
        self.notional = sum(notionals, self.notional)
        self.trades += len(amounts)
        return amounts, notionals

    def merge(self, other: "Tally") -> None:
        """Add the totals of another tally."""
        with localcontext(EXACT):
            self.quantity += other.quantity
            self.notional += other.notional
        self.trades += other.trades
        self.created_at = min((time for time in (self.created_at, other.created_at) if time is not None), default=None)

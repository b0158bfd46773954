"""The tally: how many trades there were, and their exact quantity and notional."""

from collections.abc import Sequence
from decimal import Context, Decimal, localcontext
from operator import mul
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct

from common.decimals import DecimalText, read_wholes
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


class Fills(NamedTuple):
    """The quantities and the notionals of trades, as whole numbers of units with so many places after the point."""

    quantities: list[int]
    notionals: list[int]
    places: int
    notional_places: int
    unit: Decimal
    notional_unit: Decimal

    def total(self, start: int, end: int) -> tuple[Decimal, Decimal]:
        """Return the quantity and the notional of some of the trades, in a context that rounds no sum."""
        quantity, notional = sum(self.quantities[start:end]), sum(self.notionals[start:end])
        return Decimal(quantity) * self.unit, Decimal(notional) * self.notional_unit


def read_fills(prices: Sequence[DecimalText], quantities: Sequence[DecimalText]) -> Fills:
    """Read the prices and the quantities of trades."""
    costs, amounts = read_wholes(prices), read_wholes(quantities)
    notionals = list(map(mul, costs.numbers, amounts.numbers))
    places, notional_places = amounts.places, costs.places + amounts.places
    units = (Decimal(1).scaleb(-places), Decimal(1).scaleb(-notional_places))
    return Fills(amounts.numbers, notionals, places, notional_places, *units)


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

    def add(self, prices: Sequence[DecimalText], quantities: Sequence[DecimalText]) -> None:
        """Count trades."""
        fills = read_fills(prices, quantities)
        with localcontext(EXACT):
            self.count(len(prices), *fills.total(0, len(prices)))

    def count(self, trades: int, quantity: Decimal, notional: Decimal) -> None:
        """Count trades that have this quantity and this notional together, in a context that rounds no sum."""
        self.trades += trades
        self.quantity += quantity
        self.notional += notional

    def merge(self, other: "Tally") -> None:
        """Add the totals of another tally."""
        with localcontext(EXACT):
            self.quantity += other.quantity
            self.notional += other.notional
        self.trades += other.trades
        self.created_at = min((time for time in (self.created_at, other.created_at) if time is not None), default=None)

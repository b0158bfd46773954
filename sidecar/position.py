"""One position: what is held of a symbol, its average cost, and the profit and loss. A pure function of the trades."""

from collections.abc import Sequence
from decimal import ROUND_05UP, Context, Decimal
from typing import Final

from msgspec import Struct

from common.decimals import PLACES
from common.tally import EXACT, SUM_MAX, SUM_PLACES

ZERO: Final = Decimal(0)

WIDE: Final = Context(prec=160, rounding=ROUND_05UP)
"""Rounds no sum, and no product of a cost and a quantity, of up to 155 digits; its quotients can be rounded again."""


# By places: to multiply by one takes half as long as ``scaleb``.
_UNITS: Final = tuple(Decimal(1).scaleb(-places) for places in range(SUM_PLACES + PLACES + 1))
_SCALES: Final = tuple(Decimal(10) ** places for places in range(SUM_PLACES + PLACES + 1))

Fill = tuple[int, int, int, str]
"""A trade: its seq, its quantity and notional, which are below 0 for a sale, and the source of its row."""


class Position(Struct):
    """One position by average cost: ``quantity`` and ``cost``, what is held has cost, are below 0 when it is short.

    ``cash`` is what sales brought less what purchases took; ``fees`` are in no other number.
    """

    quantity: Decimal = ZERO
    cash: Decimal = ZERO
    cost: Decimal = ZERO
    fees: Decimal = ZERO

    def apply(self, fills: Sequence[Fill], places: int, notional_places: int) -> None:
        """Change what is held, and its cost, by trades in the order of their seqs, in the context WIDE.

        Their quantities and notionals are in units of so many places. A division of whole numbers takes a third of
        what one of decimals takes.
        """
        held, held_places = _read_whole(self.quantity, places)
        # Enough for what is held at the price of one trade, too.
        cost, cost_places = _read_whole(self.cost, max(notional_places - places + held_places, PLACES))
        if held_places > places:
            scale = 10 ** (held_places - places)
            fills = [(seq, quantity * scale, notional, source) for seq, quantity, notional, source in fills]
        scale, unit = 10 ** (cost_places - notional_places), 10 ** (cost_places - PLACES)
        for _, quantity, notional, _ in fills:
            after = held + quantity
            if (held < 0) == (quantity < 0):
                cost += notional * scale
            elif after and (after < 0) == (held < 0):
                # Rounded half-even to PLACES.
                divisor = abs(held) * unit
                kept, rest = divmod(cost * after, divisor)
                rest += rest
                if rest > divisor or (rest == divisor and kept & 1):
                    kept += 1
                cost = kept * unit if held > 0 else -kept * unit
            else:
                # Closed; what is left of the trade opens the other side at its price.
                cost = notional * scale * after // quantity if after else 0
            held = after
        self.quantity, self.cost = _write(held, held_places), _write(cost, cost_places)

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
        # Without the sign of a 0.
        return EXACT.plus(EXACT.fma(self.quantity, price, self.cost.copy_negate()))

    def is_possible(self) -> bool:
        """Return whether trades can lead to these numbers; a file may hold any."""
        for value in (self.quantity, self.cash, self.cost, self.fees):
            # The exponent of infinity and NaN is a letter.
            exponent = value.as_tuple().exponent
            if not isinstance(exponent, int) or exponent < -SUM_PLACES or value.copy_abs() >= SUM_MAX:
                return False
        same_sign = self.cost.is_signed() == self.quantity.is_signed()
        return self.fees >= 0 and (not self.cost or (bool(self.quantity) and same_sign))


def _read_whole(value: Decimal, places: int) -> tuple[int, int]:
    """Read a sum as a whole number in the unit of ``places``, or of as many as it needs; return these too."""
    for each in (places, max(places, PLACES)):
        scaled = value * _SCALES[each]
        whole = int(scaled)
        if whole == scaled:
            return whole, each
    return int(value * _SCALES[SUM_PLACES]), SUM_PLACES


def _write(whole: int, places: int) -> Decimal:
    value = Decimal(whole) * _UNITS[places]
    # A sum of more places than any has would be a fault.
    return value if places <= SUM_PLACES else value.normalize()


def divide(dividend: Decimal, divisor: Decimal) -> Decimal:
    """Divide, rounded once, half-even, to 18 decimals."""
    return EXACT.quantize(WIDE.divide(dividend, divisor), _UNITS[PLACES])

"""A trade as a client states it, and the event it becomes when it is accepted.

Decimals and times are canonical text from end to end, so every digit that came in goes out; whoever calculates
turns them into ``Decimal`` or ``datetime`` at the place of the calculation.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from common.timestamps import Timestamp

Side = Literal["BUY", "SELL"]
SIDES: Final[tuple[Side, ...]] = ("BUY", "SELL")

SYMBOL_PATTERN: Final = r"^[A-Z0-9._/-]{1,32}\Z"
DECIMAL_PATTERN: Final = r"^[0-9]{1,18}(\.[0-9]{1,12})?\Z"

Seq = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Symbol = Annotated[str, Meta(pattern=SYMBOL_PATTERN)]
DecimalText = Annotated[str, Meta(pattern=DECIMAL_PATTERN)]


class Trade(Struct, frozen=True):
    """A validated trade, not yet accepted: ``ts`` is when it happened, ``price`` is per unit of ``qty``."""

    ts: Timestamp
    symbol: Symbol
    side: Side
    price: DecimalText
    qty: DecimalText


class Event(Struct, frozen=True):
    """An accepted trade: ``seq`` is its place in the journal, ``journal_id`` names the journal that gave it."""

    seq: Seq
    id: str
    journal_id: str
    accepted_at: Timestamp
    ts: Timestamp
    symbol: Symbol
    side: Side
    price: DecimalText
    qty: DecimalText

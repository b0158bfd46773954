"""A trade as a client states it, and the event it becomes when it is accepted.

Decimals and times are canonical text from end to end, so every digit that came in goes out; whoever calculates
turns them into ``Decimal`` or ``datetime`` at the place of the calculation.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

Side = Literal["BUY", "SELL"]
SIDES: Final[tuple[Side, ...]] = ("BUY", "SELL")

SYMBOL_PATTERN: Final = r"^[A-Z0-9._/-]{1,32}\Z"
DECIMAL_PATTERN: Final = r"^[0-9]{1,18}(\.[0-9]{1,12})?\Z"
INSTANT_PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z\Z"

Seq = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Symbol = Annotated[str, Meta(pattern=SYMBOL_PATTERN)]
DecimalText = Annotated[str, Meta(pattern=DECIMAL_PATTERN)]
Instant = Annotated[str, Meta(pattern=INSTANT_PATTERN)]

_RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


class Trade(Struct, frozen=True):
    """A validated trade, not yet accepted: ``ts`` is when it happened, ``price`` is per unit of ``qty``."""

    ts: Instant
    symbol: Symbol
    side: Side
    price: DecimalText
    qty: DecimalText


class Event(Struct, frozen=True):
    """An accepted trade: ``seq`` is its place on the tape, ``origin`` names the journal that gave it."""

    seq: Seq
    id: str
    origin: str
    accepted_at: Instant
    ts: Instant
    symbol: Symbol
    side: Side
    price: DecimalText
    qty: DecimalText


def write_instant(moment: datetime) -> Instant:
    """Write an aware moment as RFC 3339 text in UTC with microseconds; its text order is its time order."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def read_instant(text: str) -> datetime:
    """Read RFC 3339 text with an offset as an aware moment; digits beyond microseconds are cut.

    Raises ValueError for anything else (source: RFC 3339, section 5.6).
    """
    found = _RFC_3339.fullmatch(text)
    if found is None:
        message = f"{text!r} is not RFC 3339 with an offset"
        raise ValueError(message)
    day, clock, fraction, offset = found.groups()
    cut = (fraction or "")[:7]
    return datetime.fromisoformat(f"{day}T{clock}{cut.ljust(7, '0') if cut else ''}{offset.upper()}").astimezone(UTC)


def now() -> datetime:
    """Tell the present moment, aware, in UTC."""
    return datetime.now(UTC)

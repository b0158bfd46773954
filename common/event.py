"""A trade as a client sends it, and the event it becomes when it is accepted.

The fields of ``Trade`` are declared here alone: the journal's columns, the messages, the answers, the downloads and
the columns of a replay are derived from them.

Decimals and times are canonical text from end to end, so every digit that came in goes out; code that calculates
converts them to ``Decimal`` or ``datetime`` where it does so.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Annotated, Any, Final, Literal, Self, overload

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from common.decimals import DecimalText
from common.symbols import Symbol
from common.timestamps import Timestamp

Side = Literal["BUY", "SELL"]
SIDES: Final[tuple[Side, ...]] = ("BUY", "SELL")

SOURCE_PATTERN: Final = r"^(?!other\Z)[A-Za-z0-9._-]{1,64}\Z"
REF_LENGTH: Final = 64

SEQ_MAX: Final = 2**63 - 1

Seq = Annotated[int, Meta(ge=1, le=SEQ_MAX)]
Source = Annotated[str, Meta(pattern=rf"{SOURCE_PATTERN}|^\Z")]
Ref = Annotated[str, Meta(min_length=1, max_length=REF_LENGTH)]


class Trade(Struct, frozen=True):
    """A validated trade, not yet accepted: ``ts`` is when it happened, ``price`` is per unit of ``qty``.

    A trade that came without a time has none until it is accepted: then its ``ts`` is that time.

    ``source`` names the bot, strategy or account that traded, ``ref`` is the exchange's id of the order or fill, and
    ``fee`` is in the quote currency.
    """

    ts: Timestamp
    symbol: Symbol
    side: Side
    price: DecimalText
    qty: DecimalText
    source: Source = ""
    ref: Ref | None = None
    fee: DecimalText | None = None


class Event(Trade, frozen=True, kw_only=True):
    """An accepted trade: ``seq`` is its number in the journal's order, ``journal_id`` names that journal.

    On a hub they are the hub's own; those of the host that accepted the trade are ``host_seq`` and ``host_journal_id``.
    """

    seq: Seq
    id: str
    journal_id: str
    accepted_at: Timestamp
    host_journal_id: str | UnsetType = UNSET
    host_seq: Seq | UnsetType = UNSET


def name_source(trade: Trade, source: str) -> Trade:
    """Return a trade with this source."""
    return msgspec.structs.replace(trade, source=source)


TRADE_FIELDS: Final = Trade.__struct_fields__
"""The names of a trade's fields, in order."""

REQUIRED_FIELDS: Final = tuple(field.name for field in msgspec.structs.fields(Trade) if field.required)
"""Those without a default."""

_read_fields = attrgetter(*TRADE_FIELDS)

Column = Sequence[Any]
"""The values that one field has in many trades: texts, or None where a trade has none."""


class TradeColumns(Sequence[Trade]):
    """Trades by their fields; each is made when one is read.

    The trades of a large batch are written to the journal by column, and seldom read one by one.
    """

    def __init__(self, columns: Iterable[Column]) -> None:
        """Keep the columns of TRADE_FIELDS, in their order, which have as many values as there are trades."""
        self.columns = dict(zip(TRADE_FIELDS, columns, strict=True))

    @classmethod
    def split(cls, trades: Iterable[Trade]) -> Self:
        """Split trades into their fields."""
        return cls(list(zip(*map(_read_fields, trades), strict=True)) or [()] * len(TRADE_FIELDS))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.columns["symbol"])

    @overload
    def __getitem__(self, index: int) -> Trade: ...
    @overload
    def __getitem__(self, index: slice) -> list[Trade]: ...
    def __getitem__(self, index: int | slice) -> Trade | list[Trade]:
        """Return one trade, or some."""
        return self._trades[index]

    def __iter__(self) -> Iterator[Trade]:
        """Yield each trade."""
        return iter(self._trades)

    @cached_property
    def _trades(self) -> list[Trade]:
        return list(map(Trade, *self.columns.values()))


def read_field(trades: Sequence[Trade], name: str) -> Iterable[Any]:
    """Read one field of trades."""
    return trades.columns[name] if isinstance(trades, TradeColumns) else map(attrgetter(name), trades)

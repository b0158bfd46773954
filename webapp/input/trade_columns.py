"""Trades read many at once, by columns: the quick way for batches and files whose trades are all good.

Each value is read by the function that its marshmallow field calls. What cannot be read here is left to the schema,
which says why.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar

from msgspec import UNSET
from msgspec.structs import fields

from common.event import TRADE_FIELDS, Trade
from webapp.input.schemas import BatchTradeSchema

T = TypeVar("T")

SENT_FIELDS: Final = BatchTradeSchema().fields
"""The fields of a trade in a batch, by name."""

KEY: Final = "key"

_FEW = ("symbol", "side", "source")
"""Fields with few different values, which are read once each."""

_READERS: dict[str, Callable[[Any], str]] = {
    name: lru_cache(4096)(field.read) if name in _FEW else field.read  # type: ignore[attr-defined]
    for name, field in SENT_FIELDS.items()
}
_DEFAULTS: dict[str, str | None] = {field.name: field.default for field in fields(Trade) if not field.required}


def read_column(name: str, values: Sequence[Any]) -> Iterable[Any]:
    """Read the values that a field has in many trades; UNSET ones are its default, or None.

    Raises ValueError, OverflowError or TypeError when one is not accepted.
    """
    missing = values.count(UNSET)
    if not missing:
        return map(_READERS[name], values)
    default = SENT_FIELDS["ts"].load_default() if name == "ts" else _DEFAULTS.get(name)
    if missing == len(values):
        return [default] * missing
    return [default if value is UNSET else _READERS[name](value) for value in values]


def read_trades(columns: Mapping[str, Sequence[Any]], make: Callable[..., T]) -> list[T]:
    """Read trades by the columns of TRADE_FIELDS, and make each of its fields in their order. Raises as read_column."""
    return list(map(make, *(read_column(name, columns[name]) for name in TRADE_FIELDS)))

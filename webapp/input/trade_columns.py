"""Trades read many at once, by columns: the quick way for batches and files whose trades are all good.

Values of a field that are all canonical already are accepted with one look; any other is read by the function that its
marshmallow field calls. What cannot be read here is left to the schema, which says why.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final, TypeVar

from msgspec import UNSET
from msgspec.structs import fields

from common.decimals import are_plain
from common.event import TRADE_FIELDS, Trade
from common.timestamps import are_canonical
from webapp.input.fields import DecimalField, TradeTimeField
from webapp.input.schemas import BatchTradeSchema

T = TypeVar("T")

SENT_FIELDS: Final = BatchTradeSchema().fields
"""The fields of a trade in a batch, by name."""

KEY: Final = "key"

_FEW = ("symbol", "side", "source")
"""Fields with few different values, which are read once each."""

_Reader = Callable[[Sequence[str]], Iterable[str]]


def _read_decimals(field: DecimalField, texts: Sequence[str]) -> Iterable[str]:
    return texts if are_plain(texts, may_be_zero=field.may_be_zero) else map(field.read, texts)


def _read_times(field: TradeTimeField, texts: Sequence[str]) -> Iterable[str]:
    if not are_canonical(texts):
        return map(field.read, texts)
    # Their text order is their time order, so the others are not too far ahead if the last one is not.
    field.read(max(texts))
    return texts


def _choose_reader(name: str, field: Any) -> _Reader:  # noqa: ANN401 - marshmallow does not type what fields read
    if isinstance(field, DecimalField):
        return partial(_read_decimals, field)
    if isinstance(field, TradeTimeField):
        return partial(_read_times, field)
    return partial(map, lru_cache(4096)(field.read) if name in _FEW else field.read)


_READERS: dict[str, _Reader] = {name: _choose_reader(name, field) for name, field in SENT_FIELDS.items()}
_DEFAULTS: dict[str, str | None] = {field.name: field.default for field in fields(Trade) if not field.required}
_DEFAULTS["ts"] = SENT_FIELDS["ts"].load_default


def read_column(name: str, values: Sequence[Any]) -> Iterable[Any]:
    """Read the values that a field has in many trades; UNSET ones are its default, or None.

    Raises ValueError, OverflowError or TypeError when one is not accepted.
    """
    missing = values.count(UNSET)
    if not missing:
        return _READERS[name](values)
    default = _DEFAULTS.get(name)
    if missing == len(values):
        return [default] * missing
    given = iter(_READERS[name]([value for value in values if value is not UNSET]))
    return [default if value is UNSET else next(given) for value in values]


def read_trades(columns: Mapping[str, Sequence[Any]], make: Callable[..., T]) -> list[T]:
    """Read trades by the columns of TRADE_FIELDS, and make each of its fields in their order. Raises as read_column."""
    return list(map(make, *(read_column(name, columns[name]) for name in TRADE_FIELDS)))

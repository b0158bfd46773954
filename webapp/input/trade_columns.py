"""Trades read many at once, by columns: the quick way for batches and files whose trades are all good.

Values of a field that are all canonical already are accepted with one look; any other is read by the function that its
marshmallow field calls. What cannot be read here is left to the schema, which says why.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from operator import eq
from typing import Any, Final

from msgspec import UNSET
from msgspec.structs import fields

from common.decimals import are_plain
from common.event import TRADE_FIELDS, Trade
from common.timestamps import are_canonical
from webapp.input.fields import DecimalField, TradeTimeField
from webapp.input.schemas import BatchTradeSchema

SENT_FIELDS: Final = BatchTradeSchema().fields
"""The fields of a trade in a batch, by name."""

KEY: Final = "key"

_FEW = ("symbol", "side", "source")
"""Fields with few different values, which are read once each."""

_Reader = Callable[[Sequence[str]], Sequence[str]]


def _read_each(read: Callable[[str], str], texts: Sequence[str]) -> Sequence[str]:
    return list(map(read, texts))


def _read_decimals(field: DecimalField, texts: Sequence[str]) -> Sequence[str]:
    return texts if are_plain(texts, may_be_zero=field.may_be_zero) else _read_each(field.read, texts)


def _read_times(field: TradeTimeField, texts: Sequence[str]) -> Sequence[str]:
    if not are_canonical(texts):
        return _read_each(field.read, texts)
    # Their text order is their time order, so the others are not too far ahead if the last one is not.
    field.read(max(texts))
    return texts


def _read_few(read: Callable[[str], str], texts: Sequence[str]) -> Sequence[str]:
    known = {text: read(text) for text in set(texts)}
    return texts if all(map(eq, known, known.values())) else list(map(known.__getitem__, texts))


def _choose_reader(name: str, field: Any) -> _Reader:  # noqa: ANN401 - marshmallow does not type what fields read
    if isinstance(field, DecimalField):
        return partial(_read_decimals, field)
    if isinstance(field, TradeTimeField):
        return partial(_read_times, field)
    return partial(_read_few if name in _FEW else _read_each, _READ[name])


# marshmallow does not type what fields read.
_READ: dict[str, Callable[[str], str]] = {
    name: lru_cache(4096)(field.read) if name in _FEW else field.read  # type: ignore[attr-defined]
    for name, field in SENT_FIELDS.items()
}
_READERS: dict[str, _Reader] = {name: _choose_reader(name, field) for name, field in SENT_FIELDS.items()}
_DEFAULTS: dict[str, str | None] = {field.name: field.default for field in fields(Trade) if not field.required}
_DEFAULTS["ts"] = SENT_FIELDS["ts"].load_default


def read_column(name: str, values: Sequence[Any]) -> Sequence[Any]:
    """Read the values that a field has in many trades, at least one; UNSET ones are its default, or None.

    Raises ValueError, OverflowError or TypeError when one is not accepted.
    """
    first = values[0]
    if first == values[-1] and values.count(first) == len(values):
        return [_DEFAULTS.get(name) if first is UNSET else _READ[name](first)] * len(values)
    missing = values.count(UNSET)
    if not missing:
        return _READERS[name](values)
    given = iter(_READERS[name]([value for value in values if value is not UNSET]))
    return [_DEFAULTS.get(name) if value is UNSET else next(given) for value in values]


def read_columns(texts: Mapping[str, Sequence[Any]]) -> list[Sequence[Any]]:
    """Read the columns of TRADE_FIELDS, in their order. Raises as read_column."""
    return [read_column(name, texts[name]) for name in TRADE_FIELDS]

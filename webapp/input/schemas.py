"""The schema of a trade: the only validation, for the form and the API."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from marshmallow import ValidationError, post_load

from common.event import Trade
from webapp.input.fields import (
    DecimalField,
    FeeField,
    KeyField,
    NamingField,
    RefField,
    SideField,
    SourceField,
    SymbolField,
    TradeTimeField,
)
from webapp.input.strict_schema import StrictSchema

T = TypeVar("T")


class TradeFields(StrictSchema[T]):
    """The fields of a trade; ``ts`` is empty by default, and any other field that is left out has no value."""

    symbol = SymbolField(required=True)
    side = SideField(required=True)
    price = DecimalField(required=True)
    qty = DecimalField(required=True)
    ts = TradeTimeField(load_default="")
    source = SourceField()
    ref = RefField()
    fee = FeeField()


class TradeSchema(TradeFields[Trade]):
    """A trade."""

    @post_load
    def _make(self, values: dict[str, Any], **_: object) -> Trade:
        return Trade(**values)


class BatchTradeSchema(TradeFields[tuple[Trade, str | None]]):
    """A trade of a batch, where it may have a key; it is read as a pair of both."""

    key = KeyField()

    @post_load
    def _make(self, values: dict[str, Any], **_: object) -> tuple[Trade, str | None]:
        key = values.pop("key", None)
        return Trade(**values), key


_TRADE = TradeSchema()

OPTIONAL_FIELDS: Final = tuple(name for name, field in _TRADE.fields.items() if not field.required)
"""The names of the fields that may be left out."""


def read_trade(values: Mapping[str, object]) -> Trade:
    """Read a trade from a JSON object or a form. Raises marshmallow's ValidationError, with all bad fields."""
    return _TRADE.read(values)


def explain(
    error: ValidationError, values: Mapping[str, object], schema: StrictSchema[Any] = _TRADE
) -> dict[str, list[str]]:
    """Say in at most 12 words why each value is not accepted."""
    unknown = [f"unknown {schema.word}; expected one of those on the page"]
    messages = dict.fromkeys(read_messages(error), unknown)
    for name, field in schema.fields.items():
        if name in messages and isinstance(field, NamingField):
            messages[name] = [field.explain(values.get(name))]
    return messages


def read_messages(error: ValidationError) -> dict[str, list[str]]:
    """Return the messages of an error by field."""
    messages: dict[str, list[str]] = error.normalized_messages()  # type: ignore[no-untyped-call]
    return messages

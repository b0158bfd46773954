"""What a trade may be: the only validation there is, for the form and for the API."""

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, post_load

from tape.event import Trade, now, write_instant
from webapp.fields import DecimalField, InstantField, SideField, StrictSchema, SymbolField


class TradeSchema(StrictSchema):
    """A trade as a client states it."""

    symbol = SymbolField(required=True)
    side = SideField(required=True)
    price = DecimalField(required=True)
    qty = DecimalField(required=True)
    ts = InstantField(load_default=lambda: write_instant(now()))

    @post_load
    def _make(self, values: dict[str, Any], **_: object) -> Trade:
        return Trade(**values)


_TRADE = TradeSchema()


def read_trade(values: Mapping[str, object]) -> Trade:
    """Read a trade from a JSON object or a form. Raises marshmallow's ValidationError, naming every bad field."""
    trade: Trade = _TRADE.read(values)
    return trade


def read_messages(error: ValidationError) -> dict[str, list[str]]:
    """Read what was wrong with each field."""
    messages: dict[str, list[str]] = error.normalized_messages()  # type: ignore[no-untyped-call]
    return messages

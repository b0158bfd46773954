"""The trade form: its widgets and CSRF token; the schema validates the trade."""

from collections.abc import Mapping
from typing import Any, Final

from flask_wtf import FlaskForm  # type: ignore[import-untyped]
from werkzeug.datastructures import MultiDict
from wtforms import Field, HiddenField, RadioField, StringField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined] # newer than its stubs

from common.event import SIDES, TRADE_FIELDS
from webapp.input.idempotency import FORM_FIELD
from webapp.input.schemas import OPTIONAL_FIELDS

FORM_BYTES: Final = 8 * 1024
"""Limit of a posted form in bytes: the fields of a trade are short, and percent-decoding is slow."""


class TradeForm(FlaskForm):  # type: ignore[misc] # flask-wtf is not typed
    """The form of a trade."""

    symbol = StringField("Symbol", description="BTCUSDT")
    side = RadioField(
        "Side", choices=[SelectChoice(side, side.title()) for side in SIDES], validate_choice=False, default="BUY"
    )
    price = StringField("Price", description="27123.45")
    qty = StringField("Quantity", description="0.25")
    ts = StringField("Time", description="now")
    source = StringField("Source", description="desk")
    ref = StringField("Reference", description="84213-A")
    fee = StringField("Fee", description="0.05")
    idempotency_key = HiddenField()

    @property
    def details(self) -> list[Field]:
        """The fields that few trades have."""
        return [self[name] for name in OPTIONAL_FIELDS if name != "ts"]

    @property
    def example(self) -> dict[str, str]:
        """The entered values, with an example for each missing one that a trade must have."""
        fields = [field for field in self if field.name in TRADE_FIELDS]
        return {
            field.name: field.data or field.description
            for field in fields
            if field.data or field.name not in OPTIONAL_FIELDS
        }

    def show_errors(self, errors: Mapping[str, list[str]]) -> list[str]:
        """Set the messages of each field, and return those of fields that the form does not have."""
        for field in self:
            if field.name in errors:
                field.errors = errors[field.name]
        return [f"{name}: {' '.join(messages)}" for name, messages in errors.items() if name not in self]


def read_values(posted: MultiDict[str, str]) -> dict[str, Any]:
    """Convert a posted form to the fields of the API: trimmed, without empty optional ones, a duplicate as a list."""
    values: dict[str, Any] = {}
    for name, given in posted.lists():
        texts = [text.strip() for text in given]
        values[name] = texts[0] if len(texts) == 1 else texts
    for name in ("csrf_token", FORM_FIELD):
        values.pop(name, None)
    return {name: value for name, value in values.items() if value != "" or name not in OPTIONAL_FIELDS}

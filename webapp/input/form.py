"""The trade form: its widgets and CSRF token; the schema validates the trade."""

from collections.abc import Mapping
from typing import Any

from flask_wtf import FlaskForm  # type: ignore[import-untyped]
from werkzeug.datastructures import MultiDict
from wtforms import HiddenField, RadioField, StringField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined] # newer than its stubs

from common.event import SIDES
from webapp.input.idempotency import FORM_FIELD


class TradeForm(FlaskForm):  # type: ignore[misc] # flask-wtf is not typed
    """The form of a trade."""

    symbol = StringField("Symbol", description="BTCUSDT")
    side = RadioField(
        "Side", choices=[SelectChoice(side, side.title()) for side in SIDES], validate_choice=False, default="BUY"
    )
    price = StringField("Price", description="27123.45")
    qty = StringField("Quantity", description="0.25")
    ts = StringField("Time", description="now")
    idempotency_key = HiddenField()

    def show_errors(self, errors: Mapping[str, list[str]]) -> list[str]:
        """Set the messages of each field, and return those of fields that the form does not have."""
        for field in self:
            if field.name in errors:
                field.errors = errors[field.name]
        return [f"{name}: {' '.join(messages)}" for name, messages in errors.items() if name not in self]


def read_values(posted: MultiDict[str, str]) -> dict[str, Any]:
    """Convert a posted form to the fields of the API: trimmed, without an empty ``ts``, a duplicate field as a list."""
    values: dict[str, Any] = {}
    for name, given in posted.lists():
        texts = [text.strip() for text in given]
        values[name] = texts[0] if len(texts) == 1 else texts
    for name in ("csrf_token", FORM_FIELD):
        values.pop(name, None)
    if values.get("ts") == "":
        del values["ts"]
    return values

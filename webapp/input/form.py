"""The trade form: its widgets and CSRF token; the schema validates the trade."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Self

from flask_wtf import FlaskForm  # type: ignore[import-untyped]
from marshmallow import ValidationError
from werkzeug.datastructures import MultiDict
from wtforms import Field, HiddenField, RadioField, StringField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined] # newer than its stubs

from common.event import SIDES, TRADE_FIELDS, Event, Trade
from common.tally import EXACT
from webapp.input.idempotency import FORM_FIELD
from webapp.input.pasted import read_pasted
from webapp.input.schemas import OPTIONAL_FIELDS, explain, read_trade

FORM_BYTES: Final = 8 * 1024
"""Limit of a posted form in bytes: the fields of a trade are short, and percent-decoding is slow."""


FAR: Final = Decimal("0.2")
"""The change from the last price of a symbol from which the form asks once more."""

THOUSANDFOLD: Final = 1000

CONFIRMED_FIELD: Final = "confirmed"
"""The symbol and the price, as typed, that the form has asked about."""


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
    confirmed = HiddenField()

    @property
    def details(self) -> list[Field]:
        """The fields that few trades have."""
        return [self[name] for name in OPTIONAL_FIELDS if name not in {"ts", "source"}]

    @classmethod
    def make(cls, values: Mapping[str, str]) -> Self:
        """Make a form that nobody has posted yet, with the values that it knows."""
        known = {name: text[:FORM_BYTES] for name, text in values.items() if name in TRADE_FIELDS}
        if known.get("side") not in SIDES:
            known["side"] = SIDES[0]
        return cls(formdata=None, data=known)

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
    for name in ("csrf_token", FORM_FIELD, CONFIRMED_FIELD):
        values.pop(name, None)
    return {name: value for name, value in values.items() if value != "" or name not in OPTIONAL_FIELDS}


def read_form_trade(values: Mapping[str, Any], currencies: tuple[str, ...]) -> Trade:
    """Read the trade of a posted form. Raises marshmallow's ValidationError, with at most 12 words for each field."""
    clear, questions = read_pasted(values, currencies)
    try:
        trade = read_trade(clear)
    except ValidationError as error:
        raise ValidationError(explain(error, clear) | questions) from None
    if questions:
        raise ValidationError(questions)
    return trade


def ask_about_price(trade: Trade, last: Event | None) -> str | None:
    """Return what to ask about a price that is far from the last one of its symbol; None for any other price."""
    if last is None:
        return None
    change = EXACT.subtract(EXACT.divide(Decimal(trade.price), Decimal(last.price)), 1)
    if abs(change) <= FAR:
        return None
    percent = f"{round(abs(change) * 100):,}" if abs(change) < THOUSANDFOLD else "many thousand"
    return f"{percent} % {'above' if change > 0 else 'below'} the last price, {last.price}. Send again if right."

"""What a trade may be: the only validation there is, for the form and for the API."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

from marshmallow import RAISE, Schema, ValidationError, fields, post_load

from tape.event import DECIMAL_PATTERN, SIDES, SYMBOL_PATTERN, Trade, now, read_instant, write_instant
from webapp.body import JsonNumber, show

T = TypeVar("T")

MAX_AHEAD = timedelta(seconds=60)


class _NamingField(fields.Field[T]):
    """A field that shows the value it cannot read, and says what was expected."""

    expected: str

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - they are marshmallow's own
        super().__init__(
            error_messages={
                "required": f"missing; expected {self.expected}",
                "null": f"null is not accepted; expected {self.expected}",
            },
            **options,
        )

    def read(self, value: object) -> T:
        """Read a value in its canonical form. Raises ValueError or OverflowError."""
        raise NotImplementedError

    def _deserialize(self, value: object, *_: object, **__: object) -> T:
        try:
            return self.read(value)
        except (ValueError, OverflowError):
            message = f"{show(value)} is not accepted; expected {self.expected}"
            raise ValidationError(message) from None


class SymbolField(_NamingField[str]):
    """A symbol, raised to upper case."""

    expected = "1 to 32 of A-Z 0-9 . _ - /"

    def read(self, value: object) -> str:
        """Read a symbol. Raises ValueError."""
        symbol = _ascii(value).upper()
        if not re.match(SYMBOL_PATTERN, symbol):
            raise ValueError
        return symbol


class SideField(_NamingField[str]):
    """BUY or SELL, in any case."""

    expected = " or ".join(SIDES)

    def read(self, value: object) -> str:
        """Read a side. Raises ValueError."""
        side = _ascii(value).upper()
        if side not in SIDES:
            raise ValueError
        return side


class DecimalField(_NamingField[str]):
    """An exact decimal above zero that keeps its digits."""

    expected = "a decimal above 0 with at most 18 digits before and 12 after the point, and no exponent"

    def read(self, value: object) -> str:
        """Read a decimal, given as text or as a JSON number. Raises ValueError."""
        text = value.text if isinstance(value, JsonNumber) else _ascii(value)
        if not re.match(DECIMAL_PATTERN, text) or not text.strip("0."):
            raise ValueError
        return text


class InstantField(_NamingField[str]):
    """A moment with an offset, written in UTC; the past is welcome, since histories get replayed."""

    expected = "an RFC 3339 time with an offset, like 2026-01-31T09:30:00.5Z, at most 60 s ahead of now"

    def read(self, value: object) -> str:
        """Read a moment. Raises ValueError or OverflowError."""
        moment = read_instant(_ascii(value))
        if moment > now() + MAX_AHEAD:
            raise ValueError
        return write_instant(moment)


class WholeField(_NamingField[int]):
    """A whole number between two bounds, both allowed."""

    def __init__(self, low: int, high: int, **options: Any) -> None:  # noqa: ANN401 - they are marshmallow's own
        self.low, self.high = low, high
        self.expected = f"a whole number, {low} to {high}"
        super().__init__(**options)

    def read(self, value: object) -> int:
        """Read a whole number from its digits. Raises ValueError."""
        text = _ascii(value)
        number = int(text) if re.fullmatch("[0-9]{1,19}", text) else -1
        if not self.low <= number <= self.high:
            raise ValueError
        return number


class TradeSchema(Schema):
    """A trade as a client states it."""

    class Meta:
        """Refuse what no field reads."""

        unknown = RAISE

    error_messages: dict[str, str] = {  # noqa: RUF012 - marshmallow declares it so
        "unknown": "unknown field; expected only symbol, side, price, qty and ts"
    }

    symbol = SymbolField(required=True)
    side = SideField(required=True)
    price = DecimalField(required=True)
    qty = DecimalField(required=True)
    ts = InstantField(load_default=lambda: write_instant(now()))

    @post_load
    def _make(self, values: dict[str, Any], **_: object) -> Trade:
        return Trade(**values)


class PageSchema(Schema):
    """Which part of the tape a client asks for, in a query string."""

    class Meta:
        """Refuse what no field reads."""

        unknown = RAISE

    error_messages: dict[str, str] = {  # noqa: RUF012 - marshmallow declares it so
        "unknown": "unknown parameter; expected only symbol, side, after and limit"
    }

    symbol = SymbolField(load_default=None)
    side = SideField(load_default=None)
    after = WholeField(0, 2**63 - 1, load_default=None)
    limit = WholeField(1, 1000, load_default=100)


_TRADE = TradeSchema()
_PAGE = PageSchema()


def read_page(query: Mapping[str, object]) -> dict[str, Any]:
    """Read what part of the tape a query string asks for. Raises marshmallow's ValidationError."""
    page: dict[str, Any] = _PAGE.load(query)
    return page


def read_trade(values: Mapping[str, object]) -> Trade:
    """Read a trade from a JSON object or a form. Raises marshmallow's ValidationError, naming every bad field."""
    trade: Trade = _TRADE.load(values)
    return trade


def read_messages(error: ValidationError) -> dict[str, list[str]]:
    """Read what was wrong with each field."""
    messages: dict[str, list[str]] = error.normalized_messages()  # type: ignore[no-untyped-call]
    return messages


def _ascii(value: object) -> str:
    # Upper-casing turns some other letters into ASCII ones, so they are refused before it.
    if not isinstance(value, str) or not value.isascii():
        raise ValueError
    return value

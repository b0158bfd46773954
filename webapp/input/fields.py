"""Fields: how each kind of value is read, and what is said when it cannot be."""

import itertools
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, TypeVar

from marshmallow import RAISE, Schema, ValidationError, fields

from common.event import DECIMAL_PATTERN, SIDES, SYMBOL_PATTERN
from common.timestamps import format_timestamp, now, parse_timestamp
from webapp.input.json_body import JsonNumber, shorten, show

T = TypeVar("T")

UNKNOWN_NAMED: Final = 10
"""How many unknown names an answer repeats."""

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


class TradeTimeField(_NamingField[str]):
    """A moment with an offset, written in UTC; the past is welcome, since histories get replayed."""

    expected = "an RFC 3339 time with an offset, like 2026-01-31T09:30:00.5Z, at most 60 s ahead of now"

    def read(self, value: object) -> str:
        """Read a moment. Raises ValueError or OverflowError."""
        moment = parse_timestamp(_ascii(value))
        if moment > now() + MAX_AHEAD:
            raise ValueError
        return format_timestamp(moment)


class TimestampField(_NamingField[str]):
    """A moment with an offset, written in UTC."""

    expected = "an RFC 3339 time with an offset, like 2026-01-31T09:30:00Z"

    def read(self, value: object) -> str:
        """Read a moment. Raises ValueError or OverflowError."""
        # A query string may have an unescaped plus in its offset.
        return format_timestamp(parse_timestamp(_ascii(value).strip().replace(" ", "+")))


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


class StrictSchema(Schema):
    """A schema that refuses what none of its fields reads, and says what it expects."""

    word = "field"

    class Meta:
        """Refuse the unknown."""

        unknown = RAISE

    def read(self, given: Mapping[str, Any]) -> Any:  # noqa: ANN401 - each schema makes what it describes
        """Read values, the unknown ones bounded in number and length. Raises marshmallow's ValidationError."""
        if not given.keys() <= self.fields.keys():
            known = {name: value for name, value in given.items() if name in self.fields}
            unknown = (name for name in given if name not in self.fields)
            given = known | dict.fromkeys(map(shorten, itertools.islice(unknown, UNKNOWN_NAMED)))
        return self.load(given)

    def __init__(self) -> None:
        super().__init__()
        *most, last = self.fields
        self.error_messages["unknown"] = f"unknown {self.word}; expected only {', '.join(most)} and {last}"


def _ascii(value: object) -> str:
    # Upper-casing turns some other letters into ASCII ones, so they are refused before it.
    if not isinstance(value, str) or not value.isascii():
        raise ValueError
    return value

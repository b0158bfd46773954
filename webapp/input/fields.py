"""Fields: how each kind of value is read, and the error message when it cannot be."""

import itertools
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Generic, TypeVar, get_args

from marshmallow import RAISE, Schema, ValidationError, fields
from msgspec import Meta

from common.decimals import DIGITS, PLACES, DecimalText, is_zero, read_decimal
from common.display import shorten
from common.event import REF_LENGTH, SIDES, SOURCE_PATTERN, Ref
from common.journal.block_ranges import TimeColumn
from common.symbols import LENGTH, Symbol, read_symbol
from common.timestamps import format_timestamp, now, parse_timestamp, read_timestamp
from webapp.input.json_body import JsonNumber, show

T = TypeVar("T")

UNKNOWN_NAMED: Final = 10
"""The most unknown names that an answer lists."""

MAX_AHEAD = timedelta(seconds=60)

_KEY = re.compile("[!-~]{1,255}")
_SOURCE = re.compile(SOURCE_PATTERN)


class ExpectedError(ValueError):
    """A value that is not accepted; says what was expected, when that depends on more than the field."""


class NamingField(fields.Field[T]):
    """A field whose errors show the value and what was expected."""

    expected: str
    accepts: Any
    """The type of its JSON values, for the API's description."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - marshmallow's own options
        super().__init__(
            error_messages={
                "required": f"missing; expected {self.expected}",
                "null": f"null is not accepted; expected {self.expected}",
            },
            **options,
        )

    def read(self, value: object) -> T:
        """Convert a value to canonical text. Raises ValueError or OverflowError."""
        raise NotImplementedError

    def _deserialize(self, value: object, *_: object, **__: object) -> T:
        try:
            return self.read(value)
        except (ValueError, OverflowError) as error:
            expected = error if isinstance(error, ExpectedError) else self.expected
            message = f"{show(value)} is not accepted; expected {expected}"
            raise ValidationError(message) from None


class SymbolField(NamingField[str]):
    """A symbol, in its canonical form."""

    expected = f"1 to {LENGTH} printable characters (no space at either end)"
    accepts = Symbol

    def read(self, value: object) -> str:
        """Read a symbol. Raises ValueError."""
        return read_symbol(_text(value))


class SideField(NamingField[str]):
    """BUY or SELL, in any case."""

    expected = " or ".join(SIDES)
    accepts = Annotated[str, Meta(pattern="^([Bb][Uu][Yy]|[Ss][Ee][Ll][Ll])$", examples=[*SIDES])]

    def read(self, value: object) -> str:
        """Read a side. Raises ValueError."""
        side = read_ascii(value).upper()
        if side not in SIDES:
            raise ValueError
        return side


class DecimalField(NamingField[str]):
    """An exact decimal above 0; every digit is kept."""

    may_be_zero = False
    expected = f"a decimal above 0 (at most {DIGITS} digits before the point and {PLACES} after it)"
    accepts = DecimalText | Annotated[float, Meta(gt=0)]

    def read(self, value: object) -> str:
        """Read a decimal, given as text or as a JSON number. Raises ValueError."""
        decimal = read_decimal(value.text if isinstance(value, JsonNumber) else _text(value))
        if is_zero(decimal) and not self.may_be_zero:
            raise ValueError
        return decimal


class FeeField(DecimalField):
    """An exact decimal, 0 or more."""

    may_be_zero = True
    expected = DecimalField.expected.replace("above 0", "of 0 or more")
    accepts = DecimalText | Annotated[float, Meta(ge=0)]


class SourceField(NamingField[str]):
    """The name of what traded."""

    expected = "a name of 1 to 64 characters (A-Z a-z 0-9 . _ -, but not other)"
    accepts = Annotated[str, Meta(pattern=SOURCE_PATTERN)]

    def read(self, value: object) -> str:
        """Read a source. Raises ValueError."""
        source = read_ascii(value)
        if not _SOURCE.match(source):
            raise ValueError
        return source


class RefField(NamingField[str]):
    """An exchange's id of an order or a fill; every character is kept."""

    expected = f"1 to {REF_LENGTH} printable characters"
    accepts = Ref

    def read(self, value: object) -> str:
        """Read a reference. Raises ValueError."""
        ref = _text(value)
        if not 1 <= len(ref) <= REF_LENGTH or not ref.isprintable():
            raise ValueError
        return ref


class KeyField(NamingField[str]):
    """The name of a trade's key."""

    expected = "1 to 255 visible ASCII characters"
    accepts = Annotated[str, Meta(pattern="^[!-~]{1,255}$")]

    def read(self, value: object) -> str:
        """Read a key. Raises ValueError."""
        key = _text(value)
        if not _KEY.fullmatch(key):
            raise ValueError
        return key


class TradeTimeField(NamingField[str]):
    """The time of a trade, with an offset, converted to UTC; any past time is valid, for replays of histories."""

    expected = "an RFC 3339 time with an offset (like 2026-01-31T09:30:00.5Z)"
    accepts = datetime

    def read(self, value: object) -> str:
        """Read a time. Raises ValueError or OverflowError."""
        (timestamp, time), current = read_timestamp(read_ascii(value)), now()
        if time > current + MAX_AHEAD:
            raise ExpectedError(
                f"a time at most {MAX_AHEAD.seconds} s ahead (the server's time is {format_timestamp(current)})"
            )
        return timestamp


class TimestampField(NamingField[str]):
    """A time with an offset, converted to UTC."""

    expected = "an RFC 3339 time with an offset (like 2026-01-31T09:30:00Z)"
    accepts = datetime

    def read(self, value: object) -> str:
        """Read a time. Raises ValueError or OverflowError."""
        # In a query string, an unescaped plus of the offset arrives as a space.
        return format_timestamp(parse_timestamp(read_ascii(value).strip().replace(" ", "+")))


class TimeColumnField(NamingField[str]):
    """One of the two times of a trade."""

    expected = "accepted_at or ts"
    accepts = TimeColumn

    def read(self, value: object) -> str:
        """Read the name of a time. Raises ValueError."""
        name = read_ascii(value)
        if name not in get_args(TimeColumn):
            raise ValueError
        return name


class WholeField(NamingField[int]):
    """A whole number from ``low`` to ``high``, both included."""

    def __init__(self, low: int, high: int, **options: Any) -> None:  # noqa: ANN401 - marshmallow's own options
        self.low, self.high = low, high
        self.expected = f"a whole number, {low} to {high}"
        self.accepts = Annotated[int, Meta(ge=low, le=high)]
        super().__init__(**options)

    def read(self, value: object) -> int:
        """Read a whole number from its digits. Raises ValueError."""
        text = read_ascii(value)
        number = int(text) if re.fullmatch("[0-9]{1,19}", text) else -1
        if not self.low <= number <= self.high:
            raise ValueError
        return number


class StrictSchema(Schema, Generic[T]):
    """A schema that rejects unknown fields, and lists the known ones."""

    word = "field"

    class Meta:
        """Reject unknown fields."""

        unknown = RAISE

    def read(self, given: Mapping[str, Any]) -> T:
        """Read values. Raises marshmallow's ValidationError, with at most UNKNOWN_NAMED unknown names, shortened."""
        if not given.keys() <= self.fields.keys():
            known = {name: value for name, value in given.items() if name in self.fields}
            unknown = (name for name in given if name not in self.fields)
            given = known | dict.fromkeys(map(shorten, itertools.islice(unknown, UNKNOWN_NAMED)))
        loaded: T = self.load(given)
        return loaded

    def __init__(self) -> None:
        super().__init__()
        self.error_messages["unknown"] = f"unknown {self.word}; expected one of these ({', '.join(self.fields)})"


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError


def read_ascii(value: object) -> str:
    """Read a text of ASCII characters. Raises ValueError."""
    # Upper-casing converts some non-ASCII letters to ASCII, so they are rejected first.
    text = _text(value)
    if not text.isascii():
        raise ValueError
    return text

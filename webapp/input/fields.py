"""Fields: how each kind of value is read, and the error message when it cannot be."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

from marshmallow import ValidationError, fields
from msgspec import Meta

from common.decimals import DIGITS, PLACES, DecimalText, is_zero, read_decimal
from common.event import REF_LENGTH, SIDES, SOURCE_PATTERN, Ref
from common.symbols import LENGTH, Symbol, read_symbol
from common.timestamps import format_timestamp, now, read_timestamp
from webapp.input.json_body import JsonNumber, show

T = TypeVar("T")

MAX_AHEAD = timedelta(seconds=60)

_KEY = re.compile("[!-~]{1,255}")
_SOURCE = re.compile(SOURCE_PATTERN)
_DIGITS = re.compile(r"[0-9]+(\.[0-9]+)?([Ee][+-]?[0-9]+)?")


class ExpectedError(ValueError):
    """A value that is not accepted; says what was expected, when that depends on more than the field.

    ``brief`` says it in a few words, for the form.
    """

    def __init__(self, expected: str, brief: str) -> None:
        super().__init__(expected)
        self.brief = brief


class NamingField(fields.Field[T]):
    """A field whose errors show the value and what was expected."""

    expected: str
    brief: str
    """What was expected, in a few words, for the form."""
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

    def explain(self, value: object) -> str:
        """Say in at most 12 words why a value is not accepted; only the first word of a value is shown."""
        if value is None or value == "":
            return f"Missing; expected {self.brief}"
        try:
            self.read(value)
            brief = self.brief
        except (ValueError, OverflowError) as error:
            brief = error.brief if isinstance(error, ExpectedError) else self.brief
        return f"{_show_word(value)} is not accepted; expected {brief}"

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
    brief = f"1 to {LENGTH} printable characters"
    accepts = Symbol

    def read(self, value: object) -> str:
        """Read a symbol. Raises ValueError."""
        return read_symbol(_text(value))


class SideField(NamingField[str]):
    """BUY or SELL, in any case."""

    expected = brief = " or ".join(SIDES)
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
    brief = "a decimal above 0"
    expected = f"a decimal above 0 (at most {DIGITS} digits before the point and {PLACES} after it)"
    accepts = DecimalText | Annotated[float, Meta(gt=0)]

    def read(self, value: object) -> str:
        """Read a decimal, given as text or as a JSON number. Raises ValueError."""
        text = value.text if isinstance(value, JsonNumber) else _text(value)
        try:
            decimal = read_decimal(text)
        except ValueError:
            if _DIGITS.fullmatch(text):
                raise ExpectedError(self.expected, f"{DIGITS} digits, {PLACES} decimals at most") from None
            raise
        if is_zero(decimal) and not self.may_be_zero:
            raise ValueError
        return decimal


class FeeField(DecimalField):
    """An exact decimal, 0 or more."""

    may_be_zero = True
    brief = "0 or more"
    expected = DecimalField.expected.replace("above 0", "of 0 or more")
    accepts = DecimalText | Annotated[float, Meta(ge=0)]


class SourceField(NamingField[str]):
    """The name of what traded."""

    expected = "a name of 1 to 64 characters (A-Z a-z 0-9 . _ -, but not other)"
    brief = "A-Z a-z 0-9 . _ -"
    accepts = Annotated[str, Meta(pattern=SOURCE_PATTERN)]

    def read(self, value: object) -> str:
        """Read a source. Raises ValueError."""
        source = read_ascii(value)
        if source == "other":
            raise ExpectedError(self.expected, "another name")
        if not _SOURCE.match(source):
            raise ValueError
        return source


class RefField(NamingField[str]):
    """An exchange's id of an order or a fill; every character is kept."""

    expected = brief = f"1 to {REF_LENGTH} printable characters"
    accepts = Ref

    def read(self, value: object) -> str:
        """Read a reference. Raises ValueError."""
        ref = _text(value)
        if not 1 <= len(ref) <= REF_LENGTH or not ref.isprintable():
            raise ValueError
        return ref


class KeyField(NamingField[str]):
    """The name of a trade's key."""

    expected = brief = "1 to 255 visible ASCII characters"
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
    brief = "a time like 2026-01-31T09:30:00Z"
    accepts = datetime

    def read(self, value: object) -> str:
        """Read a time. Raises ValueError or OverflowError."""
        (timestamp, time), current = read_timestamp(read_ascii(value)), now()
        if time > current + MAX_AHEAD:
            limit = f"a time at most {MAX_AHEAD.seconds} s ahead"
            server = format_timestamp(current)
            raise ExpectedError(
                f"{limit} (the server's time is {server})", f"at most {server[:19]}Z + {MAX_AHEAD.seconds} s"
            )
        return timestamp


def _show_word(value: object) -> str:
    words = value.split() if isinstance(value, str) else []
    return show(f"{words[0]} …" if len(words) > 1 else value).replace(" …", "…")


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

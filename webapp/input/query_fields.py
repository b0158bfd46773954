"""The fields of query strings that a trade does not have."""

import re
from datetime import datetime
from typing import Annotated, Any, get_args

from msgspec import Meta

from common.journal.block_ranges import TimeColumn
from common.timestamps import format_timestamp, parse_timestamp
from webapp.input.fields import NamingField, read_ascii

_PICKED = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2}(?:\.[0-9]+)?)?)?")


class TimestampField(NamingField[str]):
    """A time with an offset, converted to UTC."""

    expected = "an RFC 3339 time with an offset (like 2026-01-31T09:30:00Z)"
    brief = "a time like 2026-01-31T09:30:00Z"
    accepts: Any = datetime

    def read(self, value: object) -> str:
        """Read a time. Raises ValueError or OverflowError."""
        # In a query string, an unescaped plus of the offset arrives as a space.
        return format_timestamp(parse_timestamp(read_ascii(value).strip().replace(" ", "+")))


class WindowField(TimestampField):
    """A limit of a window of time, as a browser's picker sends it too: a day, or a time in UTC without its offset."""

    expected = "a day or a time like 2026-01-31, 2026-01-31T09:30 (UTC) or 2026-01-31T09:30:00Z"
    brief = "a time like 2026-01-31T09:30"
    accepts = str

    def read(self, value: object) -> str:
        """Read a limit. Raises ValueError or OverflowError."""
        text = read_ascii(value).strip()
        if found := _PICKED.fullmatch(text):
            day, clock, rest = found.groups()
            text = f"{day}T{clock or '00:00'}{rest or ':00'}Z"
        return super().read(text)


class TimeColumnField(NamingField[str]):
    """One of the two times of a trade."""

    expected = brief = "accepted_at or ts"
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
        self.expected = self.brief = f"a whole number, {low} to {high}"
        self.accepts = Annotated[int, Meta(ge=low, le=high)]
        super().__init__(**options)

    def read(self, value: object) -> int:
        """Read a whole number from its digits. Raises ValueError."""
        text = read_ascii(value)
        number = int(text) if re.fullmatch("[0-9]{1,19}", text) else -1
        if not self.low <= number <= self.high:
            raise ValueError
        return number

"""Times of files: numbers since 1970 in any unit, and dates with an offset or in a named zone."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from common.timestamps import Timestamp, format_timestamp, read_timestamp

UNITS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
"""Nanoseconds of each unit."""

_DIGITS = {"s": 11, "ms": 14, "us": 17, "ns": 20}
"""The most digits of a time since 1970 in each unit, until the year 5138."""

_NUMBER = re.compile(r"([0-9]{1,20})(\.[0-9]{1,18})?")
_NAIVE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(\.[0-9]+)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_time(text: str, unit: str | None = None, zone: ZoneInfo | None = None) -> Timestamp:
    """Read a time; a number is in ``unit``, by default by its number of digits, and a date without offset in ``zone``.

    Raises ValueError with what was expected, and OverflowError.
    """
    number = _NUMBER.fullmatch(text)
    if number is not None:
        unit = unit or next(unit for unit, digits in _DIGITS.items() if len(number[1]) <= digits)
        nanoseconds = int(Decimal(text) * UNITS[unit]) if number[2] else int(text) * UNITS[unit]
        return format_timestamp(_EPOCH + timedelta(microseconds=nanoseconds // 1000))
    naive = _NAIVE.fullmatch(text)
    if naive is None:
        return read_timestamp(text)[0]
    if zone is None:
        message = "it has no offset; name its zone with --time-zone, like UTC or Europe/Berlin"
        raise ValueError(message)
    day, clock, seconds, fraction = naive.groups()
    fraction = (fraction or "")[:7].ljust(7, "0") if fraction else ""
    return format_timestamp(datetime.fromisoformat(f"{day}T{clock}{seconds or ':00'}{fraction}").replace(tzinfo=zone))

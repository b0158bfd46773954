"""Timestamps: RFC 3339 text in UTC with microseconds, whose text order is their time order."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Final

from msgspec import DecodeError, Meta
from msgspec.json import Decoder

_TIMESTAMP: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"

TIMESTAMP_PATTERN: Final = rf"^{_TIMESTAMP}\Z"

Timestamp = Annotated[str, Meta(pattern=TIMESTAMP_PATTERN)]

SECOND: Final = len("2026-01-31T09:30:00")
"""The length of a timestamp up to its second."""

UNITS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
"""Nanoseconds of each unit of a time in numbers."""

_DIGITS = {"s": 11, "ms": 14, "us": 17, "ns": 20}
"""The most digits of a time since 1970 in each unit, until the year 5138."""

_decode_micros = Decoder(list[int]).decode
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NUMBER = re.compile(r"([0-9]{1,20})(\.[0-9]{1,18})?")
_AS_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_ALL_ZEROS = b"0000-00-00T00:00:00.000000Z "
_RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?([Zz]|[+-][0-9]{2}:?[0-9]{2})"
)


def format_timestamp(time: datetime) -> Timestamp:
    """Write an aware datetime as RFC 3339 text in UTC with microseconds; its text order is its time order."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_timestamp(text: str) -> datetime:
    """Read RFC 3339 text with an offset as an aware datetime; digits beyond microseconds are cut.

    The offset may lack its colon, as in ``+0000``. Raises ValueError for anything else (source: RFC 3339, section 5.6).
    """
    found = _RFC_3339.fullmatch(text)
    if found is None:
        message = f"{text!r} is not RFC 3339 with an offset"
        raise ValueError(message)
    day, clock, fraction, offset = found.groups()
    cut = (fraction or "")[:7]
    return datetime.fromisoformat(f"{day}T{clock}{cut.ljust(7, '0') if cut else ''}{offset.upper()}").astimezone(UTC)


def read_timestamp(text: str) -> tuple[Timestamp, datetime]:
    """Read RFC 3339 text with an offset: in its canonical form, and as an aware datetime. Raises as parse_timestamp."""
    found = _RFC_3339.fullmatch(text)
    if found is None or found[4] not in {"Z", "z"}:
        time = parse_timestamp(text)
        return format_timestamp(time), time
    # In UTC already: only the digits after the point change.
    timestamp = f"{found[1]}T{found[2]}.{(found[3] or '')[1:7]:0<6}Z"
    return timestamp, datetime.fromisoformat(timestamp)


def are_canonical(texts: Sequence[str]) -> bool:
    """Return whether each text is in its canonical form already. Raises ValueError for one that does not exist."""
    # One look at all of them, as in ``are_plain``: with their digits as zeros, they are one text so many times.
    together = " ".join(texts).encode(errors="replace")
    if together.translate(_AS_ZEROS) + b" " != _ALL_ZEROS * len(texts):
        return False
    first = texts[0][:SECOND]
    if together.count(first.encode()) == len(texts):
        read_second(first)
    else:
        for each in texts:
            read_second(each[:SECOND])
    return True


def parse_number(text: str, unit: str | None = None) -> datetime | None:
    """Read a time since 1970, in one of UNITS, by default by its number of digits; None for any other text.

    Raises OverflowError.
    """
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    unit = unit or next(unit for unit, digits in _DIGITS.items() if len(found[1]) <= digits)
    nanoseconds = int(Decimal(text) * UNITS[unit]) if found[2] else int(text) * UNITS[unit]
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


@lru_cache(maxsize=4096)
def read_second(second: str) -> int:
    """Read a timestamp up to its SECOND, as microseconds since 1970. Raises ValueError for one that does not exist.

    Most timestamps are of a second that was read before, so few are parsed.
    """
    return (datetime.fromisoformat(second).replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


def read_micros(timestamp: Timestamp) -> int:
    """Return a timestamp as microseconds since 1970. Raises ValueError for one that does not exist."""
    return read_second(timestamp[:SECOND]) + int(timestamp[SECOND + 1 : -1])


def read_all_micros(timestamps: Sequence[Timestamp]) -> list[int]:
    """Return timestamps, at least one, as ``read_micros`` does each."""
    first = timestamps[0][:SECOND]
    # Most often all are of one second; then all their digits are read as JSON at once, in a third of the time. A number
    # in JSON does not begin with 0, so they get a 1.
    digits = "".join(timestamps)[SECOND + 1 : -1].replace(f"Z{first}.", ",1")
    try:
        micros = _decode_micros(f"[1{digits}]")
    except DecodeError:
        return list(map(read_micros, timestamps))
    second = read_second(first) - 1_000_000
    return [second + each for each in micros]


@lru_cache(maxsize=4096)
def is_second(second: str) -> bool:
    """Return whether a timestamp up to its SECOND exists: its pattern allows a 13th month."""
    try:
        read_second(second)
    except ValueError:
        return False
    return True


def is_in_calendar(timestamp: Timestamp) -> bool:
    """Return whether a timestamp exists: its pattern allows a 13th month."""
    return is_second(timestamp[:SECOND])

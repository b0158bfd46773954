"""Times of files: numbers since 1970 in any unit, and dates with an offset or in a named zone."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from common.timestamps import Timestamp, format_timestamp, parse_number, read_timestamp

_NAIVE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(\.[0-9]+)?")


def read_time(text: str, unit: str | None = None, zone: ZoneInfo | None = None) -> Timestamp:
    """Read a time; a number is in ``unit``, by default by its number of digits, and a date without offset in ``zone``.

    Raises ValueError with what was expected, and OverflowError.
    """
    if text.endswith("Z"):
        # Neither a number nor a time without an offset, and the most frequent form.
        return read_timestamp(text)[0]
    number = parse_number(text, unit)
    if number is not None:
        return format_timestamp(number)
    naive = _NAIVE.fullmatch(text)
    if naive is None:
        return read_timestamp(text)[0]
    if zone is None:
        message = "it has no offset; name its zone with --time-zone, like UTC or Europe/Berlin"
        raise ValueError(message)
    day, clock, seconds, fraction = naive.groups()
    fraction = (fraction or "")[:7].ljust(7, "0") if fraction else ""
    return format_timestamp(datetime.fromisoformat(f"{day}T{clock}{seconds or ':00'}{fraction}").replace(tzinfo=zone))

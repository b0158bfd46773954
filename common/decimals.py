"""Decimals: the text in which a price, a quantity or a fee is kept, and what is read as one."""

import re
from collections.abc import Sequence
from itertools import repeat
from typing import Annotated, Final, NamedTuple

from msgspec import DecodeError, Meta
from msgspec.json import Decoder

DIGITS: Final = 20
"""The most digits before the point."""

PLACES: Final = 18
"""The most digits after it."""

DECIMAL_PATTERN: Final = rf"^[0-9]{{1,{DIGITS}}}(\.[0-9]{{1,{PLACES}}})?\Z"

DecimalText = Annotated[str, Meta(pattern=DECIMAL_PATTERN)]

_ZERO: Final = "0."
_PLAIN = re.compile(DECIMAL_PATTERN)
# Digits are possessive: none is given back to try again. Groups are not: Python before 3.11.5 then also accepts "5.".
_ALL_PLAIN = re.compile(rf"(?:[0-9]{{1,{DIGITS}}}+(?:\.[0-9]{{1,{PLACES}}}+)? )*")
_SCIENTIFIC = re.compile(r"([0-9]+)(?:\.([0-9]+))?[Ee]([+-]?[0-9]{1,9})")


_WHOLE_MAX: Final = 2**53
_WHOLE_LENGTH: Final = 16
"""A point and 15 digits: no two decimals of so many are one float, and no two whole numbers below _WHOLE_MAX."""

_decode_wholes = Decoder(list[int], strict=False).decode


class Wholes(NamedTuple):
    """Decimals as whole numbers of the unit that has so many ``places`` after the point."""

    numbers: list[int]
    places: int


def read_wholes(texts: Sequence[DecimalText]) -> Wholes:
    """Read decimals as whole numbers of the smallest unit that any of them needs: every value is kept exactly."""
    if texts and max(map(len, texts)) <= _WHOLE_LENGTH:
        # Most often all have as many places as the first.
        places = _count_places(texts[0])
        numbers = _read_together(texts, places)
        if numbers is None:
            places = max(map(_count_places, texts))
            numbers = _read_together(texts, places)
        if numbers is not None:
            return Wholes(numbers, places)
    parts = [text.partition(".") for text in texts]
    places = max((len(fraction) for _, _, fraction in parts), default=0)
    return Wholes([int(whole + fraction.ljust(places, "0")) for whole, _, fraction in parts], places)


def _read_together(texts: Sequence[DecimalText], places: int) -> list[int] | None:
    """Read decimals in the unit of ``places``; None when one has more, or more digits than a float keeps."""
    # In JSON "12.34e2" is 1234, and "12.345e2" is no whole number, which the decoder rejects. It takes half of what
    # Decimal takes for each.
    end = f"e{places}"
    try:
        numbers = _decode_wholes(f"[{f'{end},'.join(texts)}{end}]")
    except DecodeError:
        return None
    return numbers if max(numbers) < _WHOLE_MAX and len(numbers) == len(texts) else None


def _count_places(text: DecimalText) -> int:
    return len(text.partition(".")[2])


def read_decimal(text: str) -> DecimalText:
    """Read a decimal of 0 or more: every digit is kept, and an exponent is written out.

    Raises ValueError for anything else, and for one with more digits than are kept.
    """
    return text if _PLAIN.match(text) else _write_out(text)


def are_plain(texts: Sequence[str], *, may_be_zero: bool) -> bool:
    """Return whether ``read_decimal`` returns each text as it is, and it is above 0 unless it ``may_be_zero``."""
    # One look at all of them takes a third of the time of a look at each. No decimal has a space.
    together = " ".join([*texts, ""])
    if together.count(" ") != len(texts) or _ALL_PLAIN.fullmatch(together) is None:
        return False
    return may_be_zero or all(map(str.strip, texts, repeat(_ZERO)))


def is_zero(decimal: DecimalText) -> bool:
    """Return whether a decimal is 0."""
    return not decimal.strip(_ZERO)


def _write_out(text: str) -> DecimalText:
    found = _SCIENTIFIC.fullmatch(text)
    if found is None:
        raise ValueError
    whole, fraction = found[1], found[2] or ""
    places = len(fraction) - int(found[3])
    digits = (whole + fraction).lstrip("0")
    if not digits:
        places = max(places, 0)
    # Before a text is made that is as long as an exponent may say.
    if places > PLACES or len(digits) - places > DIGITS:
        raise ValueError
    if places <= 0:
        return digits + "0" * -places or "0"
    padded = digits.rjust(places + 1, "0")
    return f"{padded[:-places]}.{padded[-places:]}"

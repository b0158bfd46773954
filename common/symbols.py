"""Symbols: the names under which trades are counted, as exchanges and brokers write them."""

import re
import string
import unicodedata
from functools import lru_cache
from typing import Annotated, Final

from msgspec import Meta

LENGTH: Final = 64
"""The most code points of a symbol."""

SENT_LENGTH: Final = 4 * LENGTH
"""The most code points of a text that NFC can shorten to LENGTH: none of its characters is made of over four."""

Symbol = Annotated[str, Meta(min_length=1, max_length=LENGTH)]

_CAPITAL = re.compile("[A-Z]")
_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)


def read_symbol(text: str) -> Symbol:
    """Read a symbol in its canonical form: NFC, and in ASCII capitals unless it has one already.

    Raises ValueError for one that is empty or too long, that has a space at an end, or a character that does not print.
    """
    # Normalising a long text of combining marks takes quadratic time.
    if len(text) > SENT_LENGTH:
        raise ValueError
    symbol = unicodedata.normalize("NFC", text)
    if not 1 <= len(symbol) <= LENGTH or not symbol.isprintable() or symbol.strip(" ") != symbol:
        raise ValueError
    if _CAPITAL.search(symbol):
        return symbol
    # A capital may compose with a mark that its small letter does not compose with.
    return unicodedata.normalize("NFC", symbol.translate(_UPPER))


def read_symbols(text: str) -> tuple[Symbol, ...]:
    """Read symbols separated by commas, with or without spaces round them. Raises ValueError."""
    return tuple(read_symbol(each) for part in text.split(",") if (each := part.strip(" ")))


@lru_cache(maxsize=1024)
def is_symbol(text: Symbol) -> bool:
    """Return whether a text is a symbol in its canonical form."""
    try:
        return read_symbol(text) == text
    except ValueError:
        return False

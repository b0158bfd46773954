"""The side that a webhook's payload means: buy and sell, or long and short where entry or exit is clear."""

import re
from collections.abc import Iterable
from typing import Final

from common.event import Side

_ENTRY: Final = frozenset({"entry", "enter", "entered", "open", "opened"})
_EXIT: Final = frozenset({"exit", "exited", "close", "closed"})
_FILLERS: Final = frozenset({"to", "fill", "filled"})

_MEANINGS: Final[dict[str, tuple[Side, Side]]] = {"long": ("BUY", "SELL"), "short": ("SELL", "BUY")}
"""The sides of an entry and of an exit."""

_TEXT: Final = re.compile(r"[A-Za-z]+(?:[ _-]+[A-Za-z]+)*")
_WORDS: Final = frozenset({"buy", "sell", *_MEANINGS, *_ENTRY, *_EXIT, *_FILLERS})


def find_side(texts: Iterable[str], *, is_entry: bool, is_exit: bool) -> Side | None:
    """Find the side that texts like ``buy``, ``exit_long`` or ``Short`` mean together; None when it is not clear.

    ``is_entry`` and ``is_exit`` are what the rest of the payload says.
    """
    words: set[str] = set()
    for text in texts:
        if not _TEXT.fullmatch(text):
            return None
        words |= _split(text)
    if not words <= _WORDS:
        return None
    enters, exits = is_entry or bool(words & _ENTRY), is_exit or bool(words & _EXIT)
    sides: set[Side] = set()
    if "buy" in words:
        sides.add("BUY")
    if "sell" in words:
        sides.add("SELL")
    # Buy and sell say it themselves.
    if not sides and enters != exits:
        sides = {_MEANINGS[word][exits] for word in words & _MEANINGS.keys()}
    return sides.pop() if len(sides) == 1 else None


def find_step(text: str) -> tuple[bool, bool]:
    """Return whether a text like ``entry_fill`` says that a position was entered, and whether that it was left."""
    words = _split(text)
    return bool(words & _ENTRY), bool(words & _EXIT)


def _split(text: str) -> frozenset[str]:
    return frozenset(re.findall("[a-z]+", text.lower()))

"""Texts of others in a message: as they are, cut when they are long, with escapes only for what does not print."""

from typing import Final

SHOWN: Final = 64
"""The most characters of a text that a message shows."""


def show_text(text: str) -> str:
    """Show a text in double quotes, with its length when it is cut."""
    return f'"{escape(text)}"' if len(text) <= SHOWN else f'"{escape(text[:SHOWN])}…" ({len(text)} characters)'


def shorten(text: str) -> str:
    """Show a name without quotes, in at most SHOWN characters."""
    return escape(text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…")


def escape(text: str) -> str:
    """Write what does not print, as controls, marks of direction and lone surrogates, as escapes."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)

"""CSV cells: a text that a spreadsheet would take for a formula gets one leading apostrophe."""

from typing import Final

_MARKED: Final = ("=", "+", "-", "@", "\t", "\r", "'")


def mark(text: str) -> str:
    """Write a text as a cell; one that begins with an apostrophe gets another, so that ``unmark`` is exact."""
    return f"'{text}" if text.startswith(_MARKED) else text


def unmark(cell: str) -> str:
    """Read the text of a cell: without one leading apostrophe, if there is any."""
    return cell.removeprefix("'")

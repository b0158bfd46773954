"""Tables of commands."""

from collections.abc import Sequence
from typing import Final

import click

_NAMES: Final = 2


def print_table(rows: Sequence[Sequence[str]], names: int = _NAMES) -> None:
    """Print rows as a table; its first columns are ``names``, by default a symbol and a side, the others numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        left = [cell.ljust(width) for cell, width in zip(row[:names], widths, strict=False)]
        right = [cell.rjust(width) for cell, width in zip(row[names:], widths[names:], strict=True)]
        click.echo("  ".join(left + right).rstrip())

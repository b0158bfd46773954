"""Tables of commands."""

from collections.abc import Sequence
from typing import Final

import click

_NAMES: Final = 2
"""The columns of names, the first ones: they are left-aligned, and numbers right-aligned."""


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows as a table; its columns are a symbol, a side, then numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        names = [cell.ljust(width) for cell, width in zip(row[:_NAMES], widths, strict=False)]
        numbers = [cell.rjust(width) for cell, width in zip(row[_NAMES:], widths[_NAMES:], strict=True)]
        click.echo("  ".join(names + numbers).rstrip())

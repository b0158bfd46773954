"""The FILE argument of commands."""

from pathlib import Path

import click

from common.display import show_text
from common.value_readers import FILE, read_path


def read_file(_context: click.Context, _parameter: click.Parameter, text: str) -> Path:
    """Read the path of a file, which need not exist. Raises ClickException."""
    try:
        return read_path(text)
    except ValueError:
        raise click.ClickException(f"FILE is {show_text(text)}; expected {FILE}") from None

"""What the commands of tokens and of users share: the NAME argument, the journal, and what they say."""

import contextlib
import re
from collections.abc import Iterator

import click
from flask import current_app

from common.display import show_text
from common.errors import JournalError
from common.event import SOURCE_PATTERN
from common.journal.store import Journal


def _read_name(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    if not re.match(SOURCE_PATTERN, text):
        message = f"{show_text(text)}; expected a name of 1 to 64 characters (A-Z a-z 0-9 . _ -, but not other)"
        raise click.BadParameter(message)
    return text


name_argument = click.argument("name", callback=_read_name)
"""The name of a token or a user, which follows the rule of a source."""


@contextlib.contextmanager
def open_journal() -> Iterator[Journal]:
    """Open the journal of the settings during the block. Raises ClickException."""
    try:
        with Journal(current_app.config["SETTINGS"].journal_path) as journal:
            yield journal
    except JournalError as error:
        raise click.ClickException(error.detail) from error


def tell_lock() -> None:
    """Say that the web process is locked from the first credential on, where it is."""
    if current_app.config["SETTINGS"].auth == "auto":
        click.echo("It is the first credential: from now on the web process is locked.", err=True)

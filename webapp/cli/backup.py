"""Backs the journal up while trades come in."""

from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from tape.errors import JournalError
from tape.journal import Journal
from tape.settings import Settings


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@with_appcontext
def backup(file: Path) -> None:
    """Copy the journal, as it stands at one moment, to FILE, which must not exist yet."""
    settings: Settings = current_app.config["SETTINGS"]
    if not settings.journal_path.exists():
        raise click.ClickException(f"there is no journal {settings.journal_path}")
    try:
        with Journal(settings.journal_path) as journal:
            journal.back_up(file)
        with Journal(file) as copy:
            click.echo(f"{file} holds the journal up to seq {copy.last_seq()}")
    except JournalError as error:
        raise click.ClickException(error.detail) from error

"""``backup``: copies the journal while trades are accepted."""

from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from common.errors import JournalError
from common.journal.opening import back_up
from common.settings import Settings
from webapp.cli.files import read_file


@click.command()
@click.argument("file", callback=read_file)
@with_appcontext
def backup(file: Path) -> None:
    """Write a consistent copy of the journal to FILE, which must not exist."""
    settings: Settings = current_app.config["SETTINGS"]
    try:
        click.echo(f"{file} holds the journal up to seq {back_up(settings.journal_path, file)}")
    except JournalError as error:
        raise click.ClickException(error.detail) from error

"""Restores the journal from a backup, while nothing runs."""

from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from common.errors import JournalError
from common.journal.opening import restore as restore_file
from common.journal.store import Journal
from webapp.cli.files import read_file


@click.command()
@click.argument("file", callback=read_file)
@with_appcontext
def restore(file: Path) -> None:
    """Make FILE the journal; the old one must have been moved away, with its -wal and -shm."""
    path = current_app.config["SETTINGS"].journal_path
    left = [str(each) for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")) if each.exists()]
    if left:
        raise click.ClickException(f"{', '.join(left)} would be overwritten; stop the stack and move it away first")
    try:
        restore_file(file, path)
        with Journal(path) as journal:
            click.echo(
                f"{path} holds {file} up to seq {journal.last_seq()}, as a journal of its own: {journal.journal_id}"
            )
    except JournalError as error:
        raise click.ClickException(error.detail) from error

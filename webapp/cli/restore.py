"""``restore``: makes a backup the journal of a stopped stack."""

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
    """Make FILE the journal; move the old one away first, with its -wal and -shm."""
    path = current_app.config["SETTINGS"].journal_path
    left = [str(each) for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")) if each.exists()]
    if left:
        raise click.ClickException(f"{', '.join(left)} would be overwritten; stop the stack and move it away first")
    try:
        restore_file(file, path)
        with Journal(path) as journal:
            click.echo(
                f"{path} holds {file} up to seq {journal.last_seq()}, with the new journal_id {journal.journal_id}"
            )
    except JournalError as error:
        raise click.ClickException(error.detail) from error

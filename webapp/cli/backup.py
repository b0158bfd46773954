"""``backup``: copies the journal while trades are accepted."""

from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from common.backups import list_backups, name_backup
from common.errors import JournalError
from common.journal.opening import back_up
from common.settings import Settings
from common.timestamps import now
from webapp.cli.files import read_file


def _read_optional(context: click.Context, parameter: click.Parameter, text: str | None) -> Path | None:
    return None if text is None else read_file(context, parameter, text)


@click.command()
@click.argument("file", callback=_read_optional, required=False)
@with_appcontext
def backup(file: Path | None) -> None:
    """Write a consistent copy of the journal to FILE, which must not exist.

    Without FILE to BACKUP_FOLDER, named by the time, where the newest BACKUP_KEEP are kept.
    """
    settings: Settings = current_app.config["SETTINGS"]
    try:
        if file is not None:
            _write(settings, file)
        elif settings.backup_folder is None:
            raise click.ClickException("there is no FILE; name one, or set BACKUP_FOLDER")
        else:
            settings.backup_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(settings, settings.backup_folder / name_backup(now()))
            # Only once there is a new one.
            for old in list_backups(settings.backup_folder)[: -settings.backup_keep]:
                old.path.unlink()
                click.echo(f"{old.path} is deleted; the newest {settings.backup_keep} are kept")
    except (JournalError, OSError) as error:
        raise click.ClickException(error.detail if isinstance(error, JournalError) else str(error)) from error


def _write(settings: Settings, file: Path) -> None:
    click.echo(f"{file} holds the journal up to seq {back_up(settings.journal_path, file)}")

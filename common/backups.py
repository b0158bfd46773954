"""The backups in ``BACKUP_FOLDER``: their names say when each was made, so a copied or touched file keeps its age."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

OLD_SECONDS: Final = 26 * 3600
"""The age at which the newest backup is too old: a day, and two hours for a timer that is late."""

_NAME: Final = "journal-%Y%m%dT%H%M%SZ.db"


class Backup(NamedTuple):
    """A backup and when it was made."""

    path: Path
    made_at: datetime


def name_backup(at: datetime) -> str:
    """Return the name of the backup that is made at this time."""
    return f"{at.astimezone(UTC):{_NAME}}"


def list_backups(folder: Path) -> list[Backup]:
    """List the backups of a folder, the newest last; other files are none. Raises OSError."""
    found = []
    for path in folder.iterdir() if folder.exists() else ():
        with contextlib.suppress(ValueError):
            found.append(Backup(path, datetime.strptime(path.name, _NAME).replace(tzinfo=UTC)))
    return sorted(found, key=lambda each: each.made_at)


def read_newest(folder: Path) -> float:
    """Return when the newest backup was made, in seconds since 1970; 0 when there is none, or it cannot be known."""
    try:
        backups = list_backups(folder)
    except OSError:
        return 0
    return backups[-1].made_at.timestamp() if backups else 0

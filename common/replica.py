"""Litestream's copy of the journal: how old it is by its files, when ``REPLICA_URL`` is a folder."""

import contextlib
import os
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

BEHIND_SECONDS: Final = 60.0
"""How old a copy that lacks something may be; Litestream writes each second."""

CLOCK_SECONDS: Final = 0.001
"""Litestream cuts the times of its files off at milliseconds: a copy may seem to be that much older than it is."""


class ReplicaTimes(NamedTuple):
    """When the journal was last written, and up to when the copy has it: seconds since 1970, 0 for no copy."""

    written: float
    copied: float

    def has_all(self) -> bool:
        """Return whether the copy has all that is in the journal."""
        return self.written - self.copied <= CLOCK_SECONDS

    def is_behind(self, now: float) -> bool:
        """Return whether something in the journal has waited too long, as the alert ReplicaBehind."""
        return now - self.copied > BEHIND_SECONDS and not self.has_all()


def find_folder(url: str) -> Path | None:
    """Return the folder of a ``file:`` URL; None for any other, whose copy cannot be seen from here."""
    return Path(unquote(urlsplit(url).path)) if url.startswith("file://") else None


def read_times(journal: Path, folder: Path) -> ReplicaTimes:
    """Read both times from the files of the journal and of the copy."""
    # A commit writes the log; without a log the file has everything.
    written = max(_read_time(journal.with_name(f"{journal.name}{end}")) for end in ("", "-wal"))
    return ReplicaTimes(written, _find_newest(folder))


def _find_newest(folder: Path) -> float:
    newest = 0.0
    with contextlib.suppress(OSError):
        for level in (folder / "ltx").iterdir():
            # Names are the numbers of their transactions, so that the last one of a level is its newest.
            name = max((each.name for each in os.scandir(level)), default="")
            newest = max(newest, _read_time(level / name) if name else 0.0)
    return newest


def _read_time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0

"""The identity of a journal's files, and whether they are still those that were opened."""

import os
import time
from pathlib import Path
from typing import Final, NamedTuple

from common.errors import JournalError
from common.journal.holders import find_holders_of_deleted
from common.private_files import find_link, tighten

TRIES: Final = 5
TRY_SECONDS: Final = 0.05

_Identity = tuple[int, int] | None


class JournalFiles(NamedTuple):
    """The files at the journal's path and beside it, by device and inode; None for a missing one."""

    journal: _Identity
    wal: _Identity
    shm: _Identity

    def describe_loss(self, now: "JournalFiles") -> str:
        """Name the files that have changed."""
        names = ("its file", "its -wal", "its -shm")
        return " and ".join(name for name, was, found in zip(names, self, now, strict=True) if was != found)


def identify(path: Path) -> JournalFiles:
    """Identify the files that a journal has now."""
    name = str(path)
    return JournalFiles(_identify(name), _identify(f"{name}-wal"), _identify(f"{name}-shm"))


def _identify(name: str) -> _Identity:
    try:
        found = os.lstat(name)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def check_no_link(path: Path) -> None:
    """Raise JournalError when one of the journal's files is a symbolic link: another file would be written."""
    link = find_link(*_list_files(path))
    if link is not None:
        raise JournalError("symlink", f"journal {link} is a symbolic link; expected the file itself")


def tighten_all(path: Path) -> None:
    """Remove the permissions of others from each of the journal's files."""
    for each in _list_files(path):
        tighten(each)


def _list_files(path: Path) -> list[Path]:
    return [Path(f"{path}{ending}") for ending in ("", "-wal", "-shm")]


def check_no_log_was_removed(path: Path) -> None:
    """Raise JournalError when a process still has a -wal or -shm open that was removed.

    SQLite would create a second log, and the trades of one log would overwrite those of the other.
    """
    for _ in range(TRIES):
        files = identify(path)
        if files.journal is None or (files.wal and files.shm):
            return
        holders = find_holders_of_deleted(path, [f"{path.absolute()}-wal", f"{path.absolute()}-shm"])
        if not holders:
            return
        # The last process that closes a journal also has them open for a short time.
        time.sleep(TRY_SECONDS)
    who = ", ".join(map(str, sorted(holders)))
    detail = f"journal {path}: its -wal or -shm was removed, but {who} still has it open; stop that first"
    raise JournalError("replaced", detail)

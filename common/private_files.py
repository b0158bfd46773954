"""Private files: only their owner may read and write them, and they are not written through links."""

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

MODE: Final = 0o600


def create(path: Path) -> int:
    """Create a file, replacing an existing one, and return its descriptor. Raises OSError."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)


def find_link(*paths: Path) -> Path | None:
    """Find a path that is a symbolic link."""
    return next((path for path in paths if path.is_symlink()), None)


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that a file that was linked or renamed in it is there after a power loss. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tighten(path: Path) -> None:
    """Set the mode of a file to MODE if it exists and others have any permission."""
    # On a read-only disk, and for a file of another owner, the mode stays.
    with contextlib.suppress(OSError):
        found = path.lstat()
        if stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) & ~MODE:
            path.chmod(MODE)

"""The disk space of a journal."""

import os
from pathlib import Path
from typing import NamedTuple

from common.journal.file import journal_errors


class DiskUsage(NamedTuple):
    """Bytes: used by the journal with its write-ahead log, free on its disk, and the disk's total."""

    used: int
    free: int
    total: int


def measure_disk(path: Path) -> DiskUsage:
    """Measure the disk space of the journal at ``path``. Raises JournalError."""
    with journal_errors(path):
        names = (path.name, f"{path.name}-wal")
        used = sum(each.stat().st_size for name in names if (each := path.with_name(name)).exists())
        disk = os.statvfs(path.parent)
    return DiskUsage(used, disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)

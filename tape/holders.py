"""Which other processes have a file open, for messages that name them."""

import os
from pathlib import Path
from typing import Final, NamedTuple

_COMMAND_LENGTH: Final = 120


class Holder(NamedTuple):
    """A process, by its id and its command line."""

    pid: int
    command: str

    def __str__(self) -> str:
        """Write it as it stands in a message."""
        return f"process {self.pid} ({self.command})"


def find_holders(path: Path) -> set[Holder]:
    """Find the other processes that have the file at ``path`` open, as far as this one may see them (Linux)."""
    try:
        wanted = path.stat()
    except OSError:
        return set()
    pids = {int(each.name) for each in Path("/proc").glob("[0-9]*")} - {os.getpid()}
    return {Holder(pid, _read_command(pid)) for pid in pids if _holds(pid, wanted)}


def _holds(pid: int, wanted: os.stat_result) -> bool:
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
    return any(_is_same(each, wanted) for each in descriptors)


def _is_same(descriptor: Path, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(descriptor.stat(), wanted)
    except OSError:
        return False


def _read_command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "it has ended"
    return b" ".join(words).decode(errors="replace").strip()[:_COMMAND_LENGTH]

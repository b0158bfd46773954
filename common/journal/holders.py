"""Which other processes have a file open, for messages that name them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

_COMMAND_LENGTH: Final = 120


class Holder(NamedTuple):
    """A process, by its id and its command line."""

    pid: int
    command: str

    def __str__(self) -> str:
        """Return the text that messages use."""
        return f"process {self.pid} ({self.command})"


def find_holders_of_deleted(path: Path, deleted: Sequence[str]) -> set[Holder]:
    """Find the processes, this one included, that have open both ``path`` and one of the ``deleted`` files."""
    try:
        wanted = path.stat()
    except OSError:
        return set()
    removed = {f"{name} (deleted)" for name in deleted}
    pids = [int(each.name) for each in Path("/proc").glob("[0-9]*")]
    return {
        Holder(pid, _read_command(pid))
        for pid in pids
        if not removed.isdisjoint(map(_read_link, _list_descriptors(pid))) and _holds(pid, wanted)
    }


def find_holders(path: Path) -> set[Holder]:
    """Find the other processes that have the file at ``path`` open, as far as this one may see them (Linux)."""
    try:
        wanted = path.stat()
    except OSError:
        return set()
    pids = {int(each.name) for each in Path("/proc").glob("[0-9]*")} - {os.getpid()}
    return {Holder(pid, _read_command(pid)) for pid in pids if _holds(pid, wanted)}


def _holds(pid: int, wanted: os.stat_result) -> bool:
    return any(_is_same(each, wanted) for each in _list_descriptors(pid))


def _list_descriptors(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return []


def _read_link(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except OSError:
        return ""


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

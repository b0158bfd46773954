"""The supervisor: honcho, which runs web and sidecar, and whose end must end them too."""

import os
from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple

import psutil

POLL_SECONDS: Final = 1.0
"""How often a process checks that its supervisor still runs."""


class Supervisor(NamedTuple):
    """The processes from this one up to honcho, each with its parent; ``links`` is empty without honcho."""

    links: tuple[tuple[int, int], ...]

    def has_ended(self) -> bool:
        """Return whether a process on the way up to honcho, or honcho itself, has ended.

        A process whose parent ends gets another parent; a pid alone would not show it, since it may be used again.
        """
        return any(_read_parent(pid) != parent for pid, parent in self.links)


@cache
def find_supervisor() -> Supervisor:
    """Find the supervisor of this process; the first call decides, so make it when the process starts."""
    return trace(os.getpid(), os.environ)


def trace(pid: int, environ: Mapping[str, str]) -> Supervisor:
    """Trace the way from a process up to the honcho that ``environ`` is from."""
    if "HONCHO_PROCESS_NAME" not in environ:
        return Supervisor(())
    links = []
    # honcho starts a child of its own for each line of the Procfile, and that child starts the line in a new session.
    session = os.getsid(pid)
    while parent := _read_parent(pid):
        links.append((pid, parent))
        if os.getsid(pid) != session:
            break
        pid = parent
    return Supervisor(tuple(links))


def _read_parent(pid: int) -> int:
    """Read the parent of a process; 0 when it has none or has ended."""
    try:
        return psutil.Process(pid).ppid()
    except psutil.NoSuchProcess:
        return 0

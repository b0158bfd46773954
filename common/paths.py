"""The files of the journal and of the snapshot, and a check that they do not overlap."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

LOCK: Final = ".lock"
RELAY: Final = ".relay"
"""Follows the name of a hub's journal in that of the relay's lock: the journal's own is the sidecar's."""

PREVIOUS: Final = ".previous"
DRAFT: Final = ".new"

SNAPSHOT_REASONS: Final = ("torn", "version", "content", "foreign", "ahead", "behind", "read", "symlink")
"""Why a snapshot may be set aside; the reason is the suffix of its new name."""

_JOURNAL: Final = ("", "-wal", "-shm", "-journal", LOCK, f"{RELAY}{LOCK}")
_SNAPSHOT: Final = ("", PREVIOUS, DRAFT, LOCK, *(f".{reason}" for reason in SNAPSHOT_REASONS))


def find_clash(journal: Path, snapshot: Path, others: Iterable[Path] = ()) -> Path | None:
    """Find a file that two of them would use: the journal, the snapshot, and ``others``, which use one each."""
    taken: dict[object, Path] = {}
    for path, suffixes in ((journal, _JOURNAL), (snapshot, _SNAPSHOT), *((other, ("",)) for other in others)):
        mine: dict[object, Path] = {}
        for suffix in suffixes:
            for stem in (path.parent.resolve() / path.name, path.resolve()):
                file = Path(f"{stem}{suffix}")
                mine |= dict.fromkeys(_identify(file), file)
        clash = mine.keys() & taken.keys()
        if clash:
            return min(mine[each] for each in clash)
        taken |= mine
    return None


def _identify(file: Path) -> set[object]:
    """Return everything that identifies the file that a name means, whichever links lead to it."""
    names: set[object] = {file, file.resolve()}
    try:
        found = file.stat()
    except OSError:
        return names
    return names | {(found.st_dev, found.st_ino)}

"""Canaries: secrets that are searched for in all that was written, to find where they have got out."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

SUITE_KEY = "canary5c1e9a7b3d2f84600e6"
"""The SECRET_KEY of every stack of the system tests, which no file but their settings may hold."""

_CHUNK = 1 << 20


class Search(NamedTuple):
    """What a search has found: the names of the canaries by place; and how much it has read."""

    found: dict[str, set[str]]
    bytes: int


def list_files(folder: Path) -> Iterator[Path]:
    """List the regular files below a folder, without following links."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                is_file = stat.S_ISREG(path.lstat().st_mode)
            except FileNotFoundError:
                continue
            if is_file:
                yield path


def search(canaries: Mapping[str, str], files: Iterable[Path]) -> Search:
    """Search files for canaries, which are found across the borders of chunks too."""
    wanted = {name: text.encode() for name, text in canaries.items()}
    overlap = max(map(len, wanted.values()))
    found: dict[str, set[str]] = {}
    total = 0
    for path in files:
        rest = b""
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    total += len(chunk)
                    text = rest + chunk
                    for name, secret in wanted.items():
                        if secret in text:
                            found.setdefault(str(path), set()).add(name)
                    rest = text[-overlap:]
        except FileNotFoundError:
            continue
    return Search(found, total)

"""How the text of a value of some kind is read: a number, a size, a time, a path, a choice; each raises ValueError."""

import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

FILE: Final = "the path of a file, not of a folder or a device"


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return what reads a whole number within bounds."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return read


def read_path(text: str) -> Path:
    """Read the path of a file, there or not. Raises ValueError."""
    path = Path(text)
    if "\0" in text or text.endswith("/") or path.name in {"", ".."}:
        raise ValueError
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        # Opening the file reports what is not that there is none yet.
        return path
    except OSError:
        # The path is too long, or a link points to itself.
        raise ValueError from None
    if not stat.S_ISREG(mode):
        raise ValueError
    return path


def optional_path(text: str) -> Path | None:
    """Read the path of a file, or nothing as None. Raises ValueError."""
    return read_path(text) if text else None


def one_of(*choices: str, normalise: Callable[[str], str]) -> Callable[[str], str]:
    """Return what reads one of some words, as ``normalise`` writes them."""

    def read(text: str) -> str:
        if normalise(text) not in choices:
            raise ValueError
        return normalise(text)

    return read


def matching(pattern: str) -> Callable[[str], str]:
    """Return what reads a text that matches a pattern."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError
        return text

    return read


_UNITS = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}


def size(low: int, high: int) -> Callable[[str], int]:
    """Return what reads a size like 8GiB, or a number of bytes, within bounds."""

    def read(text: str) -> int:
        found = re.fullmatch(r"([0-9]{1,15})([KMGT]iB)?", text)
        count = int(found[1]) * _UNITS.get(found[2], 1) if found else -1
        if not low <= count <= high:
            raise ValueError
        return count

    return read


def milliseconds(low: int, high: int) -> Callable[[str], int]:
    """Return what reads 0, or a time like 100ms or 2s within bounds; a number alone is of milliseconds."""

    def read(text: str) -> int:
        found = re.fullmatch(r"([0-9]{1,6})(ms|s)?", text)
        count = int(found[1]) * (1000 if found[2] == "s" else 1) if found else -1
        if count and not low <= count <= high:
            raise ValueError
        return count

    return read


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def read_duration(text: str) -> int:
    """Read a duration like 90s, 15m, 24h or 30d, or 0, in seconds. Raises ValueError."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])|0", text)
    if found is None:
        raise ValueError
    return int(found[1]) * _SECONDS[found[2]] if found[1] else 0


def seconds(low: int, high: int) -> Callable[[str], int]:
    """Return what reads a time like 5s or 7d, or a number of seconds, within bounds."""

    def read(text: str) -> int:
        count = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else read_duration(text)
        if not low <= count <= high:
            raise ValueError
        return count

    return read

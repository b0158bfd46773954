"""What ``doctor`` finds: one line for each check, with what to do when something is wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from common.settings import Settings

Level = Literal["ok", "note", "FAIL"]


@dataclass(frozen=True)
class Finding:
    """``what`` was checked and what was found; ``todo`` says what to do, and is empty when all is well."""

    level: Level
    what: str
    found: str
    todo: str = ""


Findings = Iterator[Finding]
Check = Callable[[Settings], Findings]

START: Final = "make apps-up"


def ok(what: str, found: str) -> Finding:
    """All is well."""
    return Finding("ok", what, found)


def note(what: str, found: str, todo: str) -> Finding:
    """Something is not set up, or is worth knowing."""
    return Finding("note", what, found, todo)


def fail(what: str, found: str, todo: str) -> Finding:
    """Something is wrong."""
    return Finding("FAIL", what, found, todo)

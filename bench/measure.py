"""What a measurement is: subjects that are measured in turns, each round of which gives figures.

A subject is the product (``ours``), the product of another commit (``before``), or a peer. Each opens what it needs,
warms up, and then gives its figures round by round; a round checks what was done, and raises when a trade is missing.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

OURS: Final = "ours"
BEFORE: Final = "before"

Figures = Mapping[str, float]
Round = Callable[[], Figures]
Opening = Callable[[], AbstractContextManager[Round]]


class UnavailableError(Exception):
    """A peer that cannot be built or run here; its text says why."""


class Run(NamedTuple):
    """What a run measures: the checkouts by subject, an empty folder, and how much of it."""

    programs: Mapping[str, Path]
    folder: Path
    quick: bool = False
    full: bool = False

    def choose(self, whole: int, quick: int) -> int:
        """Return the size of a round."""
        return quick if self.quick else whole

    def open_programs(
        self, opening: Callable[..., AbstractContextManager[Round]], *more: object, **options: object
    ) -> dict[str, Opening]:
        """Return how each program is opened: by ``opening``, with the run, its name, its checkout and what is given."""
        return {name: partial(opening, self, name, root, *more, **options) for name, root in self.programs.items()}

    def make_folder(self, name: str) -> Path:
        """Make a folder for one subject."""
        folder = self.folder / name.replace(" ", "-").replace(",", "")
        folder.mkdir()
        return folder


class Measure(NamedTuple):
    """A measurement: its name, and the subjects of a run; with ``once`` there is one round and no warm-up."""

    name: str
    list_subjects: Callable[[Run], Mapping[str, Opening]]
    once: bool = False
    warm_up: bool = True


def check_equal(what: str, found: float, expected: float) -> None:
    """Raise AssertionError unless both numbers are equal."""
    if found != expected:
        message = f"{what}: {found:,.0f}; expected {expected:,.0f}"
        raise AssertionError(message)

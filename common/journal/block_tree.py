"""A tree over the full blocks of a journal, in memory: what was computed of each, and what it is merged to.

FAN neighbours are merged into one, FAN of these again, and so on. So a window of any length is a few values, and the
number of values that are needed grows with its logarithm. Nothing is ever taken back: when the window leaves a part of
what was merged, the parts are looked up again, or computed again.
"""

from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from common.journal.block_cache import Kept
from common.journal.block_ranges import Part

T = TypeVar("T")

FAN: Final = 4
"""Neighbours that are merged into one."""

ENTRIES: Final = 50_000
"""Totals of symbols that are kept for the windows that were asked for last, and again as many of what was merged."""


class _Run(NamedTuple):
    """Full blocks of one opening of the journal, as in ``Part``."""

    times_opened: int
    first: int
    seqs: int

    def find_parent(self) -> "_Run":
        """Find the run that this one is a part of."""
        seqs = self.seqs * FAN
        return _Run(self.times_opened, (self.first - 1) // seqs * seqs + 1, seqs)

    def list_parts(self) -> list["_Run"]:
        """List the parts of this one, in order."""
        seqs = self.seqs // FAN
        return [_Run(self.times_opened, self.first + n * seqs, seqs) for n in range(FAN)]


class BlockTree(Generic[T]):
    """What ``compute`` returns for full blocks, merged; it belongs to the connection that reads the journal."""

    def __init__(self, merge: Callable[[Sequence[T]], T], get_size: Callable[[T], int]) -> None:
        """Start with nothing kept; ``merge`` gets values in the order of their seqs, ``get_size`` counts entries."""
        self._merge = merge
        self._kept = Kept(ENTRIES, get_size)
        # Needed only when a window leaves a part of what they were merged to, so they are the first to go.
        self._merged = Kept(ENTRIES, get_size)

    def step(self, parts: list[Part], compute: Callable[[Part], T]) -> list[T]:
        """Take parts from the end of ``parts`` until one of them had to be computed, and return the values.

        They are in descending order of their seqs. Raises what ``compute`` raises.
        """
        found: list[T] = []
        while parts:
            blocks, value = self._find_longest(parts)
            if value is not None:
                del parts[-blocks:]
                found.append(value)
                continue
            part = parts.pop()
            value = compute(part)
            if part.is_block:
                self._keep(_Run(part.times_opened, part.first, part.last - part.first + 1), value)
            return [*found, value]
        return found

    def _find_longest(self, parts: Sequence[Part]) -> tuple[int, T | None]:
        """Find the value of the longest run that the last parts are, and how many they are."""
        found: tuple[int, T | None] = (0, None)
        end, size = parts[-1].last, parts[-1].last - parts[-1].first + 1
        checked, blocks = 0, 1
        while end % (blocks * size) == 0 and blocks <= len(parts):
            first = end - blocks * size + 1
            new = parts[-blocks : len(parts) - checked]
            if parts[-blocks].first != first or not all(part.is_block for part in new):
                break
            value = self._get(_Run(parts[-1].times_opened, first, blocks * size))
            if value is not None:
                found = (blocks, value)
            checked, blocks = blocks, blocks * FAN
        return found

    def _get(self, run: _Run) -> T | None:
        value = self._kept.get(run)
        return self._merged.get(run) if value is None else value

    def _keep(self, run: _Run, value: T) -> None:
        """Keep a value; with the last one of its neighbours they are merged."""
        self._kept.keep(run, value)
        parent = run.find_parent()
        if parent in self._kept:
            return
        values = {part: self._get(part) for part in parent.list_parts()}
        known = [each for each in values.values() if each is not None]
        if len(known) < FAN:
            return
        for part in values:
            if part in self._kept:
                self._merged.keep(part, self._kept.pop(part))
        self._keep(parent, self._merge(known))

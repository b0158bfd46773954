"""What was computed from full blocks of a journal, kept in memory: their trades never change."""

from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Final, Generic, TypeVar

from cachetools import LRUCache

from common.journal.block_ranges import BlockRanges, Part, TimeColumn
from common.journal.store import Journal
from common.timestamps import Timestamp

T = TypeVar("T")

ENTRIES: Final = 100_000
"""Bars that are kept: 60 MB at most; the least recently used ones are computed again."""


def list_parts(
    journal: Journal, blocks: BlockRanges, since: Timestamp, until: Timestamp, column: TimeColumn
) -> list[Part]:
    """List the parts of a window, in order, without what was pruned. Raises JournalError."""
    last_seq = journal.last_seq()
    # All of them may have been pruned.
    oldest = journal.query("SELECT min(seq) FROM trades")[0][0] or last_seq + 1
    parts = blocks.list_parts(since, until, last_seq, column)
    return [part._replace(first=max(part.first, oldest)) for part in parts if part.last >= oldest]


class Kept(LRUCache[Hashable, T]):
    """Values by name, up to a number of entries in all: the least recently used ones go first."""

    def __init__(self, entries: int, get_size: Callable[[T], int]) -> None:
        """Start with nothing kept; ``get_size`` counts the entries of one value."""
        super().__init__(entries, getsizeof=lambda value: 1 + get_size(value))

    def keep(self, name: Hashable, value: T) -> None:
        """Keep a value, unless it has more entries than are kept in all."""
        with suppress(ValueError):
            self[name] = value


class BlockCache(Generic[T]):
    """What ``compute`` returns for each block, by name; it belongs to the connection that reads the journal."""

    def __init__(self, get_size: Callable[[T], int]) -> None:
        """Start with nothing kept; ``get_size`` counts the entries of one value."""
        self._kept = Kept(ENTRIES, get_size)

    def step(self, parts: list[Part], name: Hashable, compute: Callable[[Part], T]) -> list[T]:
        """Take parts from the end of ``parts`` until one of them had to be computed, and return their values.

        Raises what ``compute`` raises.
        """
        found: list[T] = []
        while parts:
            part = parts.pop()
            key = (part.times_opened, part.first, name)
            value = self._kept.get(key) if part.is_block else None
            if value is not None:
                found.append(value)
                continue
            value = compute(part)
            if part.is_block:
                self._kept.keep(key, value)
            return [*found, value]
        return found

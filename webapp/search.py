"""Search: accepted trades by any filter, in bounded reads, with an index or without."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from common.event import SEQ_MAX, Event
from common.journal.block_ranges import BlockRanges, Range, clip
from common.journal.store import FILTERS, Journal
from webapp.reader import JournalReader

SLICE: Final = 20_000
"""Seqs that one read scans where no index helps: a few milliseconds."""


SCANNED: Final = FILTERS.keys() - {"symbol"}
"""The filters without an index."""


class Search:
    """Searches in one look-up where an index helps, else with the reader for bulk work.

    The first search by time indexes the times of acceptance.
    """

    def __init__(self, reader: JournalReader, bulk_reader: JournalReader) -> None:
        """Keep the readers."""
        self._reader = reader
        self._bulk_reader = bulk_reader
        self._blocks = BlockRanges()

    def select(self, limit: int, **wanted: Any) -> list[Event]:  # noqa: ANN401 - the filters of Journal.select
        """Select events as ``Journal.select`` does. Raises JournalError."""
        if not _needs_scan(wanted):
            return self._reader.select(limit=limit, **wanted)
        newest = wanted.pop("newest", wanted.get("after") is None)
        found: list[Event] = []
        for events in self.walk(limit, newest=newest, **wanted):
            found = events + found if newest else found + events
            if len(found) >= limit:
                break
        return found[-limit:] if newest else found[:limit]

    def walk(
        self,
        chunk: int,
        *,
        after: int | None = None,
        before: int | None = None,
        newest: bool = False,
        **filters: str | None,
    ) -> Iterator[list[Event]]:
        """Yield all matching events in chunks of at most ``chunk``, the ``newest`` chunk first or the oldest one.

        Each chunk is in ``seq`` order. Raises JournalError.
        """
        ranges, first, last = self._find(filters.get("since"), filters.get("until"))
        parts = clip(ranges, max(first, (after or 0) + 1), min(last, (before or last + 1) - 1))
        if _needs_scan(filters):
            parts = [piece for part in parts for piece in _slice(part)]
        for low, high in reversed(parts) if newest else parts:
            yield from self._walk_part(chunk, (low, high), filters, newest=newest)

    def _walk_part(
        self, chunk: int, part: Range, filters: dict[str, str | None], *, newest: bool
    ) -> Iterator[list[Event]]:
        low, high = part
        while low <= high:
            events = self._bulk_reader.select(limit=chunk, after=low - 1, before=high + 1, newest=newest, **filters)
            if events:
                yield events
            if len(events) < chunk:
                return
            if newest:
                high = events[0].seq - 1
            else:
                low = events[-1].seq + 1

    def _find(self, since: str | None, until: str | None) -> tuple[list[Range], int, int]:
        """Return the ranges of seq that can match the window, and the first and last seq of the journal."""

        def find(journal: Journal) -> tuple[list[Range], int, int] | None:
            if since is None and until is None:
                ranges: list[Range] = [(1, SEQ_MAX)]
            elif self._blocks.step(journal):
                ranges = self._blocks.find(since, until)
            else:
                return None
            return ranges, journal.query("SELECT min(seq) FROM trades")[0][0] or 1, journal.last_seq()

        while (found := self._bulk_reader.ask(find)) is None:
            pass
        return found


def _needs_scan(wanted: Mapping[str, object]) -> bool:
    return any(wanted.get(name) is not None for name in SCANNED)


def _slice(part: Range) -> list[Range]:
    first, last = part
    return [(low, min(low + SLICE - 1, last)) for low in range(first, last + 1, SLICE)]

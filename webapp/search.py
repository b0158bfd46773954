"""Search: accepted trades by any filter, in bounded reads, with an index or without."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from common.event import SEQ_MAX, Event
from common.journal.block_ranges import BlockRanges, Range, clip
from common.journal.store import FILTERS, Journal
from common.tally import Tally
from webapp.reader import JournalReader

SLICE: Final = 20_000
"""Seqs that one read scans where no index helps: a few milliseconds."""


TOTALLED: Final = 200_000
"""Seqs that one total reads, in a few tenths of a second."""

SCANNED: Final = FILTERS.keys() - {"symbol"}
"""The filters without an index."""


class Search:
    """Searches in one look-up where an index helps, else with the reader for bulk work.

    The first search by time indexes the times.
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
        ranges, first, last = self._find(filters)
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

    def total(self, **filters: str | None) -> tuple[dict[tuple[str, str], Tally], bool]:
        """Total all matching events by symbol and side, and return whether they are all.

        At most TOTALLED seqs are read, the newest ones of those that can match. Raises JournalError.
        """
        ranges, first, last = self._find(filters)
        totals: dict[tuple[str, str], Tally] = {}
        parts = [piece for part in clip(ranges, first, last) for piece in _slice(part)][::-1]
        for low, high in parts[: TOTALLED // SLICE]:
            for symbol, side, prices, quantities in self._bulk_reader.total(low, high, **filters):
                totals.setdefault((symbol, side), Tally()).add(prices.split(), quantities.split())
        return totals, len(parts) <= TOTALLED // SLICE

    def _find(self, filters: Mapping[str, str | None]) -> tuple[list[Range], int, int]:
        """Return the ranges of seq that can match the windows, and the first and last seq of the journal."""
        accepted = filters.get("since"), filters.get("until")
        traded = filters.get("ts_since"), filters.get("ts_until")

        def find(journal: Journal) -> tuple[list[Range], int, int] | None:
            if not any((*accepted, *traded)):
                ranges: list[Range] = [(1, SEQ_MAX)]
            elif not self._blocks.step(journal):
                return None
            elif any(traded):
                ranges = self._blocks.find(*traded, "ts")
            else:
                ranges = self._blocks.find(*accepted)
            return ranges, journal.query("SELECT min(seq) FROM trades")[0][0] or 1, journal.last_seq()

        while (found := self._bulk_reader.ask(find)) is None:
            pass
        return found


def _needs_scan(wanted: Mapping[str, object]) -> bool:
    return any(wanted.get(name) is not None for name in SCANNED)


def _slice(part: Range) -> list[Range]:
    first, last = part
    return [(low, min(low + SLICE - 1, last)) for low in range(first, last + 1, SLICE)]

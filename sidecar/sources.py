"""The totals by source: the bot, strategy or account that traded. A pure function of the events."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct, field

from common.event import SIDES, Side
from common.journal.batches import Batch
from common.quotes import OTHER_QUOTE
from common.tally import Count, check_sum
from common.timestamps import Timestamp, is_in_calendar

UNNAMED: Final = ""
"""The source of trades that name none."""

OTHER_SOURCE: Final = "other"
"""The source of the trades past the limit; no trade may name it."""

ALL_OTHERS: Final = "*"
"""In SILENCE_AFTER, every source that is not named there."""


def _make_sums() -> dict[Side, Decimal]:
    return dict.fromkeys(SIDES, Decimal(0))


class SourceTotals(Struct):
    """The totals of one source; ``last_ts`` is the newest ``ts`` of its trades.

    ``created_at`` is when its first trade was accepted.
    """

    trades: dict[Side, Count] = field(default_factory=lambda: dict.fromkeys(SIDES, 0))
    last_ts: Timestamp | None = None
    created_at: Timestamp | None = None


class Sources(Struct):
    """The totals by source; ``notional`` is by source and quote, separated by a space, and by side.

    Raises ValueError for sums that no trades add up to.
    """

    totals: dict[str, SourceTotals] = field(default_factory=lambda: {UNNAMED: SourceTotals()})
    notional: dict[str, dict[Side, Decimal]] = field(default_factory=lambda: {f"{UNNAMED} {OTHER_QUOTE}": _make_sums()})

    def __post_init__(self) -> None:
        """Check what was read from a file."""
        for sums in self.notional.values():
            for notional in sums.values():
                check_sum("notional", notional)

    def count(self, batch: Batch, quote: str, notional: Decimal, limit: int) -> None:
        """Count a batch whose notional is ``notional``; sources past ``limit`` are counted under OTHER_SOURCE.

        In a context that rounds no sum.
        """
        source = batch.source
        totals = self.totals.get(source)
        if totals is None:
            if len(self.totals) - 1 - (OTHER_SOURCE in self.totals) >= limit:
                source = OTHER_SOURCE
            totals = self.totals.setdefault(source, SourceTotals())
        totals.trades[batch.side] += len(batch.prices)
        totals.created_at = totals.created_at or batch.first_accepted_at
        if totals.last_ts is None or batch.newest_ts > totals.last_ts:
            totals.last_ts = batch.newest_ts
        key = f"{source} {quote}"
        sums = self.notional.get(key) or self.notional.setdefault(key, _make_sums())
        sums[batch.side] += notional

    def find_silence_limits(self, limits: Mapping[str, int]) -> dict[str, int]:
        """Return how many seconds a source may be silent, of those named in ``limits`` and those that have traded.

        ``*`` is the limit of the others, 0 is none.
        """
        own = {source: seconds for source, seconds in limits.items() if source != ALL_OTHERS}
        others = (source for source, totals in self.totals.items() if totals.last_ts is not None)
        found = dict.fromkeys(others, limits.get(ALL_OTHERS, 0)) | own
        return {source: seconds for source, seconds in found.items() if seconds}

    def count_trades(self, side: Side) -> int:
        """Return how many trades of a side are counted."""
        return sum(totals.trades.get(side, 0) for totals in self.totals.values())

    def find_fault(self) -> str | None:
        """Return what no sequence of events can lead to, or None; a file may hold anything."""
        if UNNAMED not in self.totals or any(set(totals.trades) != set(SIDES) for totals in self.totals.values()):
            return "a source or a side of one is missing"
        for key, sums in self.notional.items():
            if set(sums) != set(SIDES) or key.partition(" ")[0] not in self.totals:
                return f"notional of {key[:64]!r}, which is no source"
        for totals in self.totals.values():
            for timestamp in (totals.last_ts, totals.created_at):
                if timestamp is not None and not is_in_calendar(timestamp):
                    return f"{timestamp} is not in the calendar"
        return None

"""A block range index, in memory: which parts of a journal can hold trades accepted in a window of time.

Clocks step, so the order by seq is not the order by time, and a binary search would be wrong. For each block of seqs
the earliest and the latest time are kept instead, of acceptance and of the trades themselves; only blocks that overlap
a window are searched.
"""

from typing import Final, Literal, NamedTuple

from common.event import SEQ_MAX
from common.journal.store import Journal
from common.timestamps import Timestamp

BLOCK: Final = 4096
"""Seqs in one block."""

STEP: Final = 32
"""Blocks that one step reads, in about ten milliseconds."""

_TIMES: Final = """
SELECT min(accepted_at), max(accepted_at), min(ts), max(ts) FROM trades WHERE seq > ? AND seq <= ?
"""

Range = tuple[int, int]
"""The first and the last seq of a part of the journal."""

TimeColumn = Literal["accepted_at", "ts"]
"""The two times of a trade."""

Times = tuple[Timestamp, Timestamp]
"""The earliest and the latest time."""


class Part(NamedTuple):
    """The seqs of one block, or those past the last full one, whose ``times`` are unknown.

    ``times_opened`` is of the journal when it was found: a reopened connection may be to another one.
    """

    first: int
    last: int
    times: Times | None
    times_opened: int

    @property
    def is_block(self) -> bool:
        """Whether all of a block is here: it never changes."""
        return self.times is not None and self.last - self.first + 1 == BLOCK

    def is_inside(self, since: Timestamp, until: Timestamp) -> bool:
        """Return whether no trade of it can be outside of a window."""
        return self.times is not None and since <= self.times[0] and self.times[1] <= until

    def cut(self) -> "Part":
        """Return it as a part that is not a block, since only some of its trades are meant."""
        return self._replace(times=None)


class BlockRanges:
    """The times of every full block of one journal; it belongs to the connection that reads it."""

    def __init__(self) -> None:
        """Start with no block read."""
        self._read_from: tuple[Journal, int] | None = None
        self._after = 0
        self._read_to = 0
        self._times: list[dict[TimeColumn, Times] | None] = []

    def step(self, journal: Journal) -> bool:
        """Read up to STEP more blocks; return whether every full block is known. Raises JournalError."""
        last_seq = journal.last_seq()
        if self._read_from != (journal, journal.times_opened):
            # A reopened connection may be to another journal.
            found = journal.query("SELECT min(seq) FROM trades")[0][0] or 1
            self._read_from, self._times = (journal, journal.times_opened), []
            self._after = self._read_to = (found - 1) // BLOCK * BLOCK
        for _ in range(STEP):
            end = self._read_to + BLOCK
            if end > last_seq:
                return True
            earliest, latest, first, last = journal.query(_TIMES, self._read_to, end)[0]
            times: dict[TimeColumn, Times] = {"accepted_at": (earliest, latest), "ts": (first, last)}
            self._times.append(None if earliest is None else times)
            self._read_to = end
        return False

    def list_parts(
        self, since: Timestamp | None, until: Timestamp | None, last_seq: int, column: TimeColumn = "accepted_at"
    ) -> list[Part]:
        """List the parts, in order, that hold every trade up to ``last_seq`` from ``since`` to ``until``, inclusive."""
        parts: list[Part] = []
        times_opened = self._read_from[1] if self._read_from else 0
        for index, known in enumerate(self._times):
            first, last = self._after + index * BLOCK + 1, self._after + (index + 1) * BLOCK
            if known is None or last > last_seq:
                continue
            times = known[column]
            if (since is None or times[1] >= since) and (until is None or times[0] <= until):
                parts.append(Part(first, last, times, times_opened))
        # Trades past the last full block may have any time.
        if self._read_to < last_seq:
            parts.append(Part(self._read_to + 1, last_seq, None, times_opened))
        return parts

    def find(self, since: Timestamp | None, until: Timestamp | None, column: TimeColumn = "accepted_at") -> list[Range]:
        """Find the ranges, in order, that hold every trade from ``since`` to ``until``, both included."""
        found: list[Range] = []
        for part in self.list_parts(since, until, SEQ_MAX, column):
            _extend(found, part.first, part.last)
        return found


def clip(ranges: list[Range], first: int, last: int) -> list[Range]:
    """Return the parts of the ranges from seq ``first`` to ``last``, both included."""
    clipped = [(max(low, first), min(high, last)) for low, high in ranges]
    return [(low, high) for low, high in clipped if low <= high]


def _extend(ranges: list[Range], first: int, last: int) -> None:
    if ranges and ranges[-1][1] == first - 1:
        ranges[-1] = (ranges[-1][0], last)
    else:
        ranges.append((first, last))

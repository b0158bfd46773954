"""The newest trades: when each was counted, and which request brought it; in memory only, for ``/counted``."""

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

from common.event import Seq
from common.wire.hints import Hint
from common.wire.messages import SeqRange

KEPT: Final = 50_000
"""Trades whose requests are kept, and times of counting: some 8 MB."""

RANGES_KEPT: Final = 1000
"""Large requests that are kept."""

_SPARE: Final = KEPT // 4
"""How many are kept above KEPT before the oldest are deleted, which moves all others."""


class Newest:
    """What was observed of the trades after the seq ``after``: earlier ones may have been counted by an earlier run.

    The caller holds the lock of the counters.
    """

    def __init__(self, after: int = 0) -> None:
        """Start with none."""
        self._after = after
        self._seqs = array("q")
        self._times = array("d")
        self._requests: dict[Seq, str] = {}
        self._ranges: deque[SeqRange] = deque(maxlen=RANGES_KEPT)

    def note_requests(self, hints: Sequence[Hint]) -> None:
        """Note which requests brought these events, whether they are counted now, before or after."""
        requests = self._requests
        for hint in hints:
            if hint.request_id:
                requests[hint.seq] = hint.request_id
        if len(requests) > KEPT + _SPARE:
            # Not one by one: a dict is searched from where its first entries were.
            self._requests = dict(islice(requests.items(), len(requests) - KEPT, None))

    def note_range(self, announced: SeqRange) -> None:
        """Note which request brought the events of a range."""
        self._ranges.append(announced)

    def note_counted(self, last_seq: int, at: float) -> None:
        """Note that all up to ``last_seq`` are counted ``at`` seconds since 1970."""
        if last_seq <= (self._seqs[-1] if self._seqs else self._after):
            return
        self._seqs.append(last_seq)
        self._times.append(at)
        if len(self._seqs) > KEPT + _SPARE:
            self._after = self._seqs[_SPARE - 1]
            del self._seqs[:_SPARE], self._times[:_SPARE]

    def find_time(self, seq: Seq) -> float | None:
        """Find when the trade of this seq was counted, in seconds since 1970; None when that is not kept."""
        if not self._seqs or not self._after < seq <= self._seqs[-1]:
            return None
        return self._times[bisect_left(self._seqs, seq)]

    def find_request(self, seq: Seq) -> str | None:
        """Find the id of the request that brought the trade of this seq; None when that is not kept."""
        inside = (each.request_id for each in self._ranges if each.first_seq <= seq <= each.last_seq)
        return self._requests.get(seq) or next(inside, None) or None

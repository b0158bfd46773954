"""Retention: old trades that both snapshots hold are pruned from the journal; their totals stay in its checkpoint."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from common.errors import JournalError, SnapshotError
from common.event import SEQ_MAX
from common.journal.store import Journal
from common.settings import Settings
from common.timestamps import Timestamp, format_timestamp, now
from sidecar.positions import Positions
from sidecar.snapshot import decode_state, encode_state
from sidecar.state import State

BATCH: Final = 500
"""Events pruned in one transaction, short enough that writers wait only some milliseconds."""

SCAN: Final = 1000
"""Acceptance times read in one query."""

KEPT_SECONDS: Final = 60
"""How long a trade stays after it was counted, whatever the clock says, or a third of a retention below 180 s.

A client that got no answer sends its trade again: the key of the first time must still be there.
"""


def read_checkpoint(journal: Journal, settings: Settings) -> State:
    """Read the totals of the pruned trades, up to their last seq, with series for ``trading_symbols``.

    Raises JournalError.
    """
    checkpoint = journal.read_checkpoint()
    try:
        state = State(journal.journal_id) if checkpoint is None else decode_state(checkpoint)
    except SnapshotError as error:
        raise JournalError("corrupt", f"journal {journal.path}: its checkpoint is damaged: {error.detail}") from error
    # A journal restored from a copy has the original's checkpoint and its own journal_id.
    state.journal_id = journal.journal_id
    if settings.positions == "off":
        state.positions = None
    elif state.positions is None:
        state.positions = Positions(after_seq=state.last_seq)
    state.register(settings)
    return state


class Pruner:
    """Prunes old trades, with their keys, from the journal, a few at each step.

    It always prunes the whole journal up to one seq, so no trade is pruned uncounted. Clocks step, so times may be in
    any order: a trade within the retention keeps all that follow it, and one with a time later than now is pruned with
    the next one that is old enough. A clock that steps makes all seem old at once; the newest stay ``kept_seconds``.
    """

    def __init__(
        self,
        journal: Journal,
        settings: Settings,
        *,
        kept_seconds: float = KEPT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], datetime] = now,
    ) -> None:
        """Keep the settings (a retention of 0: trades are never pruned); the journal opens with the first step."""
        self._journal = journal
        self._retention = timedelta(seconds=settings.journal_retention)
        self._kept_seconds = min(kept_seconds, settings.journal_retention / 3)
        self._settings = settings
        self._clock = clock
        self._wall_clock = wall_clock
        self._prefix: _Prefix | None = None
        self._saved: deque[tuple[float, int]] = deque()

    def step(self, saved_seq: int, seconds: float) -> int:
        """Prune for about ``seconds`` at most, and return how many trades were pruned.

        Nothing past what was ``saved_seq``, which both snapshots hold, ``kept_seconds`` ago is pruned, nor what a host
        has not pushed to its stream yet. Raises JournalError.
        """
        began = self._clock()
        journal, deadline, current = self._journal, began + seconds, self._wall_clock()
        pruned = 0
        if not self._retention:
            return pruned
        checkpoint = read_checkpoint(journal, self._settings)
        if self._prefix is None or self._prefix.journal_id != journal.journal_id:
            self._prefix = _Prefix(journal.journal_id, checkpoint.last_seq, checkpoint.last_seq)
            self._saved.clear()
        settled_seq = self._find_settled(saved_seq, began)
        oldest_kept, newest = _find_oldest_kept(current, self._retention), format_timestamp(current)
        while self._clock() < deadline:
            if self._prefix.end <= checkpoint.last_seq:
                times = journal.read_times(self._prefix.scanned, settled_seq, SCAN)
                if not self._prefix.extend(times, oldest_kept, newest):
                    break
            end = min(self._prefix.end, self._read_floor())
            if end <= checkpoint.last_seq < self._prefix.end:
                break
            if end > checkpoint.last_seq:
                events = journal.read_after(checkpoint.last_seq, BATCH)
                batch = [event for event in events if event.seq <= end]
                checkpoint.apply(batch, "journal", self._settings)
                journal.prune(checkpoint.last_seq, encode_state(checkpoint))
                pruned += len(batch)
        return pruned

    def _find_settled(self, saved_seq: int, at: float) -> int:
        """Find what was ``saved_seq`` so long ago that nothing up to it is kept any more, 0 when no step was then."""
        saved, until = self._saved, at - self._kept_seconds
        saved.append((at, saved_seq))
        while len(saved) > 1 and saved[1][0] <= until:
            saved.popleft()
        return saved[0][1] if saved[0][0] <= until else 0

    def _read_floor(self) -> int:
        """Read up to which seq a host's trades are in its stream; it falls when a hub asks for some again."""
        if self._settings.relay_transport != "nats" or self._journal.list_hosts() is not None:
            return SEQ_MAX
        return self._journal.read_pushed()

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()


@dataclass
class _Prefix:
    """How much of a journal may be pruned: all up to ``end``; trades after it, up to ``scanned``, are in the future.

    It is kept between steps, so that trades in the future are scanned once, however many there are.
    """

    journal_id: str
    end: int
    scanned: int

    def extend(self, times: Sequence[tuple[int, Timestamp]], oldest_kept: Timestamp, newest: Timestamp) -> bool:
        """Scan the trades that follow, up to the first one accepted from ``oldest_kept`` to ``newest``.

        Return False when that is the first of them, or there is none.
        """
        scanned = self.scanned
        for seq, accepted_at in times:
            if oldest_kept <= accepted_at <= newest:
                break
            self.scanned = seq
            if accepted_at < oldest_kept:
                self.end = seq
        return self.scanned > scanned


def _find_oldest_kept(current: datetime, retention: timedelta) -> Timestamp:
    try:
        return format_timestamp(current - retention)
    except OverflowError:
        # Longer than the calendar: every timestamp sorts after this text.
        return ""

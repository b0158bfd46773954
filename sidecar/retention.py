"""Retention: trades that are old and safe in a snapshot leave the journal, and what they add up to stays in it."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from common.errors import JournalError, SnapshotError
from common.journal.connection import Connection
from common.journal.store import Journal
from common.timestamps import Timestamp, format_timestamp, now
from sidecar.snapshot import decode_state, encode_state
from sidecar.state import State

BATCH: Final = 500
"""Events that leave in one transaction: writers wait for it only some milliseconds."""

LOOK: Final = 1000
"""Times of acceptance that are read at once."""


def read_checkpoint(journal: Journal, symbols: Iterable[str]) -> State:
    """Read what the pruned trades add up to, up to their last seq; ``symbols`` have their series before any trade.

    Raises JournalError.
    """
    base = journal.read_checkpoint()
    if base is None:
        state = State(journal.journal_id)
        state.register(symbols)
        return state
    try:
        state = decode_state(base)
    except SnapshotError as error:
        raise JournalError("corrupt", f"journal {journal.path}: its checkpoint is damaged: {error.detail}") from error
    # A journal that was restored from a copy has its model's checkpoint, and an journal_id of its own.
    state.journal_id = journal.journal_id
    state.register(symbols)
    return state


class Pruner:
    """Takes old trades, with their keys, out of the journal, a little at each step.

    What leaves is always all of the journal up to one seq, so nothing leaves uncounted. Clocks step, so times may stand
    in any order: a trade within the retention keeps all that follow it, and one stamped later than now goes with the
    next one that is old enough.
    """

    def __init__(  # noqa: PLR0913 - the world is injected
        self,
        open_journal: Callable[[], Journal],
        *,
        retention: timedelta,
        symbol_limit: int,
        trading_symbols: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], datetime] = now,
    ) -> None:
        """Keep how long trades stay (zero: for ever); the journal opens with the first step."""
        self._connection = Connection(open_journal)
        self._retention = retention
        self._limit = symbol_limit
        self._symbols = trading_symbols
        self._clock = clock
        self._wall_clock = wall_clock
        self._prefix: _Prefix | None = None

    def step(self, saved_seq: int, seconds: float) -> int:
        """Prune for at most about ``seconds``, and only what the snapshot at ``saved_seq`` has; gives how many trades.

        Raises JournalError.
        """
        return self._connection.ask(lambda journal: self._prune(journal, saved_seq, self._clock() + seconds))

    def _prune(self, journal: Journal, saved_seq: int, deadline: float) -> int:
        moment = self._wall_clock()
        pruned = 0
        if not self._retention:
            return pruned
        base = read_checkpoint(journal, self._symbols)
        if self._prefix is None or self._prefix.journal_id != journal.journal_id:
            self._prefix = _Prefix(journal.journal_id, base.last_seq, base.last_seq)
        before, after = _write_old(moment, self._retention), format_timestamp(moment)
        while self._clock() < deadline:
            if self._prefix.end <= base.last_seq:
                times = journal.read_times(self._prefix.looked, saved_seq, LOOK)
                if not self._prefix.look(times, before, after):
                    break
            if self._prefix.end > base.last_seq:
                batch = [event for event in journal.read_after(base.last_seq, BATCH) if event.seq <= self._prefix.end]
                base.apply(batch, "journal", self._limit)
                journal.prune(base.last_seq, encode_state(base))
                pruned += len(batch)
        return pruned

    def close(self) -> None:
        """Close the journal."""
        self._connection.close()


@dataclass
class _Prefix:
    """How much of a journal is old enough: all up to ``end``; what follows it up to ``looked`` is stamped ahead.

    It outlives a step, so that trades stamped ahead are looked at once, however many they are.
    """

    journal_id: str
    end: int
    looked: int

    def look(self, times: Sequence[tuple[int, Timestamp]], before: Timestamp, after: Timestamp) -> bool:
        """Look at the trades that follow: old is one accepted before ``before``, ahead one ``after``.

        False when the first of them is neither, or there is none.
        """
        looked = self.looked
        for seq, accepted_at in times:
            if before <= accepted_at <= after:
                break
            self.looked = seq
            if accepted_at < before:
                self.end = seq
        return self.looked > looked


def _write_old(moment: datetime, retention: timedelta) -> Timestamp:
    try:
        return format_timestamp(moment - retention)
    except OverflowError:
        # Longer than there are years: every time is later than this text.
        return ""

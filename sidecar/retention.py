"""Retention: trades that are old and safe in a snapshot leave the journal, and what they add up to stays in it."""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Final

from sidecar.snapshot import decode_state, encode_state
from sidecar.state import State
from tape.connection import Connection
from tape.errors import JournalError, SnapshotError
from tape.event import now, write_instant
from tape.journal import Journal

BATCH: Final = 500
"""Events that leave in one transaction: writers wait for it only some milliseconds."""


def read_base(journal: Journal, symbols: Iterable[str]) -> State:
    """Read what the pruned trades add up to, up to their last seq; ``symbols`` have their series before any trade.

    Raises JournalError.
    """
    base = journal.read_base()
    if base is None:
        state = State(journal.origin)
        state.register(symbols)
        return state
    try:
        state = decode_state(base)
    except SnapshotError as error:
        raise JournalError("version", f"journal {journal.path}: its base is {error}") from error
    # A journal that was restored from a copy has its model's base, and an origin of its own.
    state.origin = journal.origin
    state.register(symbols)
    return state


class Pruner:
    """Takes old trades and forgotten keys out of the journal, a little at each step."""

    def __init__(  # noqa: PLR0913 - the world is injected
        self,
        open_journal: Callable[[], Journal],
        *,
        retention: timedelta,
        keys_kept: timedelta,
        symbol_limit: int,
        trading_symbols: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep how long trades (zero: for ever) and keys stay; the journal opens with the first step."""
        self._connection = Connection(open_journal)
        self._retention = retention
        self._keys_kept = keys_kept
        self._limit = symbol_limit
        self._symbols = trading_symbols
        self._clock = clock

    def step(self, saved_seq: int, seconds: float) -> int:
        """Prune for at most about ``seconds``, and only what the snapshot at ``saved_seq`` has; gives how many trades.

        Raises JournalError.
        """
        return self._connection.ask(lambda journal: self._prune(journal, saved_seq, self._clock() + seconds))

    def _prune(self, journal: Journal, saved_seq: int, deadline: float) -> int:
        journal.forget_keys(write_instant(now() - self._keys_kept))
        pruned = 0
        if not self._retention:
            return pruned
        before = write_instant(now() - self._retention)
        base = read_base(journal, self._symbols)
        while self._clock() < deadline:
            batch = [
                event
                for event in journal.read_after(base.last_seq, BATCH)
                if event.seq <= saved_seq and event.accepted_at < before
            ]
            if not batch:
                break
            base.apply(batch, "journal", self._limit)
            journal.prune(base.last_seq, encode_state(base))
            pruned += len(batch)
        return pruned

    def close(self) -> None:
        """Close the journal."""
        self._connection.close()

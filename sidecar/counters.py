"""The counters: the state, shared by the sidecar's threads under one lock."""

import threading
from collections.abc import Sequence
from typing import Final

from common.journal.batches import Batch
from common.settings import Settings
from common.wire.hints import Hint
from common.wire.messages import SeqRange
from sidecar.newest import Newest
from sidecar.series_start import SeriesStarts
from sidecar.state import Observed, State

FOLDED: Final = 4_000
"""Events that are received before they are added up together: by symbol and side that costs less than one by one."""

_DEFAULTS: Final = Settings()


class Counters:
    """The state that is counted: the consumer changes and replaces it, others read it; each under ``lock``.

    Events that were received are counted: whoever reads ``state`` first adds them up, or the one that makes FOLDED of
    them. ``starts`` are those of its series, and ``newest`` are its newest trades.
    """

    def __init__(self, state: State, settings: Settings = _DEFAULTS, starts: SeriesStarts | None = None) -> None:
        """Share ``state``, counted within the limits of ``settings``."""
        self.starts = starts or SeriesStarts()
        self.newest = Newest(state.last_seq)
        self.lock = threading.Lock()
        self._state = state
        self._settings = settings
        self._received: list[tuple[Sequence[Hint], float]] = []
        self._waiting = 0
        self._failure: Exception | None = None

    @property
    def state(self) -> State:
        """The state, up to the last event that was received. Raises RuntimeError once an event could not be counted."""
        if self._received:
            self._fold()
        return self._state

    @property
    def last_seq(self) -> int:
        """The newest seq that is counted; to be read without the lock."""
        received = self._received
        return received[-1][0][-1].seq if received else self._state.last_seq

    @property
    def journal_id(self) -> str:
        """The journal whose events are counted; to be read without the lock."""
        return self._state.journal_id

    @property
    def observed(self) -> Observed:
        """What is not in the journal; the delays and the number of events wait until ``state`` is read."""
        return self._state.observed

    def replace(self, state: State, last_seq: int) -> None:
        """Continue with another state: the journal was replaced. Its trades up to ``last_seq`` are counted again."""
        with self.lock:
            self._received, self._waiting = [], 0
            self._state = state
            self.newest = Newest(last_seq)
            self.starts.settle(state)

    def settle(self) -> None:
        """Note that metrics are served from now on: the series and the trades that exist are not new."""
        with self.lock:
            self.newest = Newest(self.state.last_seq)
            self.starts.settle(self.state)

    def receive(self, hints: Sequence[Hint], at: float) -> None:
        """Count events that follow the last one, in ``seq`` order, received ``at`` this time, in seconds since 1970."""
        with self.lock:
            self._received.append((hints, at))
            self._waiting += len(hints)
            self.newest.note_requests(hints)
            self.newest.note_counted(hints[-1].seq, at)
            if self._waiting >= FOLDED:
                self._fold()

    def _fold(self) -> None:
        # Some of the events may be counted, some not: no other try, and nothing of this state may be shown or saved.
        if self._failure is not None:
            raise RuntimeError("the counters are not whole; start the sidecar again") from self._failure
        try:
            self._state.receive(self._received, self._settings)
        except Exception as error:
            self._failure = error
            raise
        # Only then, so that ``last_seq`` never falls.
        self._received, self._waiting = [], 0
        self.starts.note(self._state)

    def note_requests(self, hints: Sequence[Hint]) -> None:
        """Note which requests brought events that were received, and may be counted already."""
        with self.lock:
            self.newest.note_requests(hints)

    def count(self, batches: Sequence[Batch], counted_at: float) -> None:
        """Count batches of events that were read from the journal; see ``State.count``."""
        with self.lock:
            self.state.count(batches, "journal", self._settings)
            self.newest.note_counted(self._state.last_seq, counted_at)
            self.starts.note(self._state)

    def count_range(self, batches: Sequence[Batch], announced: SeqRange, counted_at: float) -> None:
        """Count batches of events that a message announced, and that were read from the journal."""
        trades = sum(len(batch.prices) for batch in batches)
        with self.lock:
            self.state.count(batches, "live", self._settings)
            self.newest.note_counted(self._state.last_seq, counted_at)
            self._state.observed.observe_delay(announced.accepted_at, announced.request_id, counted_at, trades)
            self.starts.note(self._state)

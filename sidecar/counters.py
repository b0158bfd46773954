"""The counters: the state, shared by the sidecar's threads under one lock."""

import threading
from collections.abc import Sequence

from common.event import Event
from common.journal.batches import Batch
from common.settings import Settings
from common.wire.messages import SeqRange
from sidecar.newest import Newest
from sidecar.series_start import SeriesStarts
from sidecar.state import State


class Counters:
    """The state that is counted: the consumer changes and replaces it, others read it; each under ``lock``.

    ``starts`` are those of its series, and ``newest`` are its newest trades.
    """

    def __init__(self, state: State, starts: SeriesStarts | None = None) -> None:
        """Share ``state``."""
        self.state = state
        self.starts = starts or SeriesStarts()
        self.newest = Newest(state.last_seq)
        self.lock = threading.Lock()

    def replace(self, state: State, last_seq: int) -> None:
        """Continue with another state: the journal was replaced. Its trades up to ``last_seq`` are counted again."""
        with self.lock:
            self.state = state
            self.newest = Newest(last_seq)
            self.starts.settle(state)

    def settle(self) -> None:
        """Note that metrics are served from now on: the series and the trades that exist are not new."""
        with self.lock:
            self.newest = Newest(self.state.last_seq)
            self.starts.settle(self.state)

    def apply(self, events: Sequence[Event], settings: Settings, counted_at: float) -> None:
        """Count events that were received; see ``State.apply``."""
        with self.lock:
            self.state.apply(events, "live", settings, counted_at)
            self.newest.note_counted(self.state.last_seq, counted_at)
            self.starts.note(self.state)

    def count(self, batches: Sequence[Batch], settings: Settings, counted_at: float) -> None:
        """Count batches of events that were read from the journal; see ``State.count``."""
        with self.lock:
            self.state.count(batches, "journal", settings)
            self.newest.note_counted(self.state.last_seq, counted_at)
            self.starts.note(self.state)

    def note_requests(self, events: Sequence[Event]) -> None:
        """Note which requests brought events that were received."""
        with self.lock:
            self.newest.note_requests(events)

    def count_range(self, batches: Sequence[Batch], announced: SeqRange, settings: Settings, counted_at: float) -> None:
        """Count batches of events that a message announced, and that were read from the journal."""
        trades = sum(len(batch.prices) for batch in batches)
        with self.lock:
            self.state.count(batches, "live", settings)
            self.newest.note_counted(self.state.last_seq, counted_at)
            self.state.observed.observe_delay(announced.accepted_at, announced.request_id, counted_at, trades)
            self.starts.note(self.state)

"""The hub's journal, shared by the threads that read hosts."""

import threading
from typing import Self

from common.errors import HubError, RelayError
from common.journal.hub import Batch, BatchResult, Mark
from common.journal.store import Journal


class Hub:
    """Writes one batch at a time; each method raises JournalError."""

    def __init__(self, journal: Journal) -> None:
        """Keep the journal, which opens at its first use."""
        self._journal = journal
        self._lock = threading.Lock()

    def adopt(self) -> Self:
        """Make an empty journal that of a hub. Raises HubError for one with trades of its own."""
        with self._lock:
            self._journal.adopt()
        return self

    def read_mark(self, journal_id: str) -> Mark:
        """Read how far a host was read."""
        with self._lock:
            return self._journal.read_mark(journal_id)

    def skip(self, journal_id: str, seq: int) -> None:
        """Go on with a host at ``seq``, without the trades up to there."""
        with self._lock:
            self._journal.skip_host(journal_id, seq)

    def append(self, batch: Batch) -> BatchResult:
        """Write a batch. Raises RelayError with the reason why nothing of it was written."""
        with self._lock:
            (result,) = self._journal.append_batches([batch])
        if isinstance(result, HubError):
            raise RelayError(result.reason, result.detail)
        if result.conflict is not None:
            raise RelayError("conflict", f"seq {result.conflict} is another trade than the hub has")
        if result.gap:
            raise RelayError("gap", f"the batch follows seq {batch.after}, the hub has those up to {result.last_seq}")
        return result

    def close(self) -> None:
        """Close the journal."""
        with self._lock:
            self._journal.close()

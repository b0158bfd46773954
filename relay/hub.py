"""The hub's journal, shared by the threads that read hosts."""

import threading
from collections.abc import Sequence
from typing import Self

from common.errors import HubError, RelayError
from common.journal.hub import Batch, BatchResult, Host, Mark, Place
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

    def list_hosts(self) -> list[Host]:
        """List the hosts that were read before."""
        with self._lock:
            return self._journal.list_hosts() or []

    def read_place(self, stream: str) -> Place:
        """Read how far a stream was read."""
        with self._lock:
            return self._journal.read_place(stream)

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

    def append_all(self, batches: Sequence[Batch], place: Place) -> list[BatchResult | HubError]:
        """Write the batches that a stream carried up to ``place``, and return what each did."""
        with self._lock:
            return self._journal.append_batches(batches, place)

    def close(self) -> None:
        """Close the journal."""
        with self._lock:
            self._journal.close()

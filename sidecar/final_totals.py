"""Last words: what web workers wrote down when they ended, heard until both snapshots hold it."""

from collections.abc import Callable, Collection

from common.errors import BadMessageError
from common.journal.connection import Connection
from common.journal.store import Journal
from common.wire.messages import decode_totals
from common.wire.worker_totals import WorkerTotals
from sidecar.consumer import Consumer
from sidecar.version_1 import upgrade_facts


class FinalTotals:
    """Takes the last facts out of the journal; it belongs to one thread."""

    def __init__(self, open_journal: Callable[[], Journal], consumer: Consumer) -> None:
        """Keep who hears them; the journal opens with the first step."""
        self._connection = Connection(open_journal)
        self._consumer = consumer

    def step(self, safe: Collection[str]) -> None:
        """Hear what stands there, and forget that of the workers in ``safe``, and what nobody can use.

        Raises JournalError.
        """
        told: dict[str, WorkerTotals] = {}
        done: set[str] = set()
        for worker, body in self._connection.ask(Journal.read_facts):
            try:
                told[worker] = _read(worker, body)
            except BadMessageError as error:
                self._consumer.reject(error)
                done.add(worker)
        done |= set(self._consumer.update_workers(told.values()))
        done |= told.keys() & set(safe)
        if done:
            self._connection.ask(lambda journal: journal.forget_facts(done))
        # Whoever still stands there will be read again, and must be known as gone then.
        self._consumer.forget_retired(told.keys() - done)

    def close(self) -> None:
        """Close the journal."""
        self._connection.close()


def _read(worker: str, body: bytes) -> WorkerTotals:
    facts = decode_totals(upgrade_facts(body))
    if facts.worker != worker or not facts.ended:
        raise BadMessageError("body", f"these are no last words of worker {worker[:64]!r}")
    return facts

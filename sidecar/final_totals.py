"""Final totals: what web workers wrote to the journal when they ended, kept until both snapshots hold it."""

from collections.abc import Callable, Collection

from common.errors import BadMessageError
from common.journal.connection import Connection
from common.journal.store import Journal
from common.wire.messages import decode_totals
from common.wire.worker_totals import WorkerTotals
from sidecar.consumer import Consumer
from sidecar.upgrades import upgrade_totals


class FinalTotals:
    """Moves workers' final totals from the journal to the state; it belongs to one thread."""

    def __init__(self, open_journal: Callable[[], Journal], consumer: Consumer) -> None:
        """Keep the consumer that counts them; the journal opens with the first step."""
        self._connection = Connection(open_journal)
        self._consumer = consumer

    def step(self, durable: Collection[str]) -> None:
        """Count all final totals, and delete those of the workers in ``durable`` and those that are rejected.

        Raises JournalError.
        """
        found: dict[str, WorkerTotals] = {}
        done: set[str] = set()
        for worker, body in self._connection.ask(Journal.read_final_totals):
            try:
                found[worker] = _read(worker, body)
            except BadMessageError as error:
                self._consumer.reject(error)
                done.add(worker)
        done |= set(self._consumer.update_workers(found.values()))
        done |= found.keys() & set(durable)
        if done:
            self._connection.ask(lambda journal: journal.delete_final_totals(done))
        # Those still in the journal are read again, and are duplicates only while their workers are known as retired.
        self._consumer.forget_retired(found.keys() - done)

    def close(self) -> None:
        """Close the journal."""
        self._connection.close()


def _read(worker: str, body: bytes) -> WorkerTotals:
    totals = decode_totals(upgrade_totals(body))
    if totals.worker != worker or not totals.ended:
        raise BadMessageError("body", f"not the final totals of worker {worker[:64]!r}")
    return totals

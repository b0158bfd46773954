from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from common.journal.store import Journal
from common.wire import messages
from common.wire.transport import KeyPair
from common.wire.worker_totals import WorkerTotals
from sidecar.consumer import Consumer
from sidecar.final_totals import FinalTotals
from sidecar.state import State
from sidecar.workers import RETIRED_LIMIT
from tests.conftest import name_worker

A, B, C, D = map(name_worker, range(1, 5))


class NoMessages:
    def use(self, keys: KeyPair) -> None:
        """Ignore the key pair."""

    def receive(self, timeout: float) -> list[bytes] | None:  # noqa: ARG002 - part of the protocol
        return None


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as journal:
        yield journal


@pytest.fixture
def consumer(journal: Journal) -> Consumer:
    return Consumer(State(journal.journal_id), NoMessages(), partial(Journal, journal.path), symbol_limit=200)


@pytest.fixture
def final_totals(journal: Journal, consumer: Consumer) -> Iterator[FinalTotals]:
    final_totals = FinalTotals(partial(Journal, journal.path), consumer)
    yield final_totals
    final_totals.close()


def keep(journal: Journal, name: str, requests: int = 1, *, ended: bool = True) -> None:
    journal.write_final_totals(
        name, messages.encode_totals(WorkerTotals(name, 1, ended, {"GET /healthz 200": requests}))
    )


def count(consumer: Consumer) -> int:
    return consumer.state.observed.workers.sum_up().requests.get("GET /healthz 200", 0)


def test_final_totals_are_counted_once_and_deleted_when_both_snapshots_hold_them(
    journal: Journal, consumer: Consumer, final_totals: FinalTotals
) -> None:
    keep(journal, A, 5)
    keep(journal, B, 7)
    for _ in range(3):
        final_totals.step([])
    assert count(consumer) == 12
    final_totals.step([A])
    assert [worker for worker, _ in journal.read_final_totals()] == [B]
    final_totals.step([A, B])
    assert journal.read_final_totals() == []
    assert count(consumer) == 12


def test_more_workers_than_retired_limit_may_end_while_the_sidecar_is_down(
    journal: Journal, consumer: Consumer, final_totals: FinalTotals
) -> None:
    ended = 2 * RETIRED_LIMIT + 100
    with journal._db:  # noqa: SLF001 - one commit instead of a thousand
        journal._db.executemany(  # noqa: SLF001
            "INSERT INTO facts VALUES (?, ?)",
            [
                (name, messages.encode_totals(WorkerTotals(name, 1, ended=True, requests={"GET /healthz 200": 1})))
                for name in map(name_worker, range(ended))
            ],
        )
    for _ in range(4):
        final_totals.step([])
        assert count(consumer) == ended
    # Two snapshots later.
    final_totals.step(list(consumer.state.observed.workers.retired))
    assert journal.read_final_totals() == []
    final_totals.step([])
    assert count(consumer) == ended
    assert len(consumer.state.observed.workers.retired) == RETIRED_LIMIT


def test_unusable_final_totals_are_counted_as_rejected_and_do_not_block_others(
    journal: Journal, consumer: Consumer, final_totals: FinalTotals
) -> None:
    journal.write_final_totals(A, b'{"worker":"%b","ended":true,"commits":{"counts":[1]}}' % A.encode())
    journal.write_final_totals(B, b"torn")
    keep(journal, C, ended=False)
    keep(journal, D, 3)
    final_totals.step([])
    assert count(consumer) == 3
    assert consumer.state.observed.rejected["body"] == 3
    final_totals.step([])
    assert [worker for worker, _ in journal.read_final_totals()] == [D]
    assert consumer.state.observed.rejected["body"] == 3


def test_final_totals_of_a_worker_that_may_have_been_counted_are_rejected_once(
    journal: Journal, consumer: Consumer, final_totals: FinalTotals
) -> None:
    consumer.state.observed.workers.forgotten = B
    for worker in (A, B, C):
        keep(journal, worker)
    for _ in range(3):
        final_totals.step([])
    assert count(consumer) == 1
    assert consumer.state.observed.rejected["forgotten"] == 2
    assert [worker for worker, _ in journal.read_final_totals()] == [C]

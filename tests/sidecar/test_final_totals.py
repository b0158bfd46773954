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


class Silence:
    def use(self, keys: KeyPair) -> None:
        """Take messages as they are recorded, whatever the key pair."""

    def receive(self, timeout: float) -> list[bytes] | None:  # noqa: ARG002 - the protocol asks for it
        return None


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as journal:
        yield journal


@pytest.fixture
def consumer(journal: Journal) -> Consumer:
    return Consumer(State(journal.journal_id), Silence(), partial(Journal, journal.path), symbol_limit=200)


@pytest.fixture
def last_words(journal: Journal, consumer: Consumer) -> Iterator[FinalTotals]:
    last_words = FinalTotals(partial(Journal, journal.path), consumer)
    yield last_words
    last_words.close()


def keep(journal: Journal, name: str, requests: int = 1, *, ended: bool = True) -> None:
    journal.keep_facts(name, messages.encode_totals(WorkerTotals(name, 1, ended, {"GET /healthz 200": requests})))


def count(consumer: Consumer) -> int:
    return consumer.state.observed.workers.sum_up().requests.get("GET /healthz 200", 0)


def test_last_words_are_heard_once_and_forgotten_when_they_are_safe(
    journal: Journal, consumer: Consumer, last_words: FinalTotals
) -> None:
    keep(journal, A, 5)
    keep(journal, B, 7)
    for _ in range(3):
        last_words.step([])
    assert count(consumer) == 12
    last_words.step([A])
    assert [worker for worker, _ in journal.read_facts()] == [B]
    last_words.step([A, B])
    assert journal.read_facts() == []
    assert count(consumer) == 12


def test_more_workers_than_are_remembered_may_have_ended_while_the_sidecar_was_away(
    journal: Journal, consumer: Consumer, last_words: FinalTotals
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
        last_words.step([])
        assert count(consumer) == ended
    # Two snapshots later.
    last_words.step(list(consumer.state.observed.workers.retired))
    assert journal.read_facts() == []
    last_words.step([])
    assert count(consumer) == ended
    assert len(consumer.state.observed.workers.retired) == RETIRED_LIMIT


def test_what_nobody_can_use_is_counted_and_keeps_nobody_from_being_heard(
    journal: Journal, consumer: Consumer, last_words: FinalTotals
) -> None:
    journal.keep_facts(A, b'{"worker":"%b","ended":true,"commits":{"counts":[1]}}' % A.encode())
    journal.keep_facts(B, b"torn")
    keep(journal, C, ended=False)
    keep(journal, D, 3)
    last_words.step([])
    assert count(consumer) == 3
    assert consumer.state.observed.rejected["body"] == 3
    last_words.step([])
    assert [worker for worker, _ in journal.read_facts()] == [D]
    assert consumer.state.observed.rejected["body"] == 3


def test_last_words_of_a_worker_that_may_have_been_counted_are_rejected_once(
    journal: Journal, consumer: Consumer, last_words: FinalTotals
) -> None:
    consumer.state.observed.workers.forgotten = B
    for worker in (A, B, C):
        keep(journal, worker)
    for _ in range(3):
        last_words.step([])
    assert count(consumer) == 1
    assert consumer.state.observed.rejected["forgotten"] == 2
    assert [worker for worker, _ in journal.read_facts()] == [C]

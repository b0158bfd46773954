from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from sidecar.consumer import Consumer
from sidecar.last_words import LastWords
from sidecar.state import State
from sidecar.workers import GONE_LIMIT
from tape import wire
from tape.facts import Facts
from tape.journal import Journal
from tape.transport import KeyPair


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
    return Consumer(State(journal.origin), Silence(), partial(Journal, journal.path), symbol_limit=200)


@pytest.fixture
def last_words(journal: Journal, consumer: Consumer) -> Iterator[LastWords]:
    last_words = LastWords(partial(Journal, journal.path), consumer)
    yield last_words
    last_words.close()


def keep(journal: Journal, name: str, requests: int = 1, *, ended: bool = True) -> None:
    journal.keep_facts(name, wire.encode_facts(Facts(name, 1, ended, {"GET /healthz 200": requests})))


def count(consumer: Consumer) -> int:
    return consumer.state.observed.workers.sum_up().requests.get("GET /healthz 200", 0)


def test_last_words_are_heard_once_and_forgotten_when_they_are_safe(
    journal: Journal, consumer: Consumer, last_words: LastWords
) -> None:
    keep(journal, "a", 5)
    keep(journal, "b", 7)
    for _ in range(3):
        last_words.step([])
    assert count(consumer) == 12
    last_words.step(["a"])
    assert [worker for worker, _ in journal.read_facts()] == ["b"]
    last_words.step(["a", "b"])
    assert journal.read_facts() == []
    assert count(consumer) == 12


def test_more_workers_than_are_remembered_may_have_ended_while_the_sidecar_was_away(
    journal: Journal, consumer: Consumer, last_words: LastWords
) -> None:
    ended = 2 * GONE_LIMIT + 100
    with journal._db:  # noqa: SLF001 - one commit instead of a thousand
        journal._db.executemany(  # noqa: SLF001
            "INSERT INTO facts VALUES (?, ?)",
            [
                (f"w{number}", wire.encode_facts(Facts(f"w{number}", 1, ended=True, requests={"GET /healthz 200": 1})))
                for number in range(ended)
            ],
        )
    for _ in range(4):
        last_words.step([])
        assert count(consumer) == ended
    # Two snapshots later.
    last_words.step(list(consumer.state.observed.workers.gone))
    assert journal.read_facts() == []
    last_words.step([])
    assert count(consumer) == ended
    assert len(consumer.state.observed.workers.gone) == GONE_LIMIT


def test_what_nobody_can_use_is_counted_and_keeps_nobody_from_being_heard(
    journal: Journal, consumer: Consumer, last_words: LastWords
) -> None:
    journal.keep_facts("a", b'{"worker":"a","ended":true,"commits":{"counts":[1]}}')
    journal.keep_facts("b", b"torn")
    keep(journal, "c", ended=False)
    keep(journal, "d", 3)
    last_words.step([])
    assert count(consumer) == 3
    assert consumer.state.observed.rejected["body"] == 3
    last_words.step([])
    assert [worker for worker, _ in journal.read_facts()] == ["d"]
    assert consumer.state.observed.rejected["body"] == 3

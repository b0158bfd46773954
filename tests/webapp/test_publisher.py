import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tape.errors import JournalError
from tape.event import Event
from tape.journal import Journal, Key, Place
from tape.transport import Sender
from tests.conftest import BUY, SELL
from webapp import publisher as publisher_module
from webapp.publisher import Publisher


class GatedJournal(Journal):
    """A journal whose first append waits at a gate, so that the trades behind it gather."""

    gate = threading.Event()
    groups: list[int]

    def append_keyed(self, entries: Sequence[tuple[Event, Key | None]], keys_since: str) -> list[Place]:
        if not self.groups:
            self.gate.wait(10)
        self.groups.append(len(entries))
        return super().append_keyed(entries, keys_since)


@pytest.fixture
def sender(tmp_path: Path) -> partial[Sender]:
    return partial(Sender, f"ipc://{tmp_path}/trades")


def test_trades_that_wait_together_share_one_commit(
    tmp_path: Path, sender: partial[Sender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "GROUP_LIMIT", 8)
    gate, groups = threading.Event(), list[int]()
    monkeypatch.setattr(GatedJournal, "gate", gate)
    monkeypatch.setattr(GatedJournal, "groups", groups, raising=False)
    publisher = Publisher(partial(GatedJournal, tmp_path / "journal.db"), sender)
    answers: list[Event] = []
    threads = [threading.Thread(target=lambda: answers.extend(publisher.accept([BUY]).events)) for _ in range(21)]
    for thread in threads:
        thread.start()
    while len(publisher._queue) < 20:  # noqa: SLF001 - the only sign that they wait
        threading.Event().wait(0.001)
    gate.set()
    for thread in threads:
        thread.join(10)
    assert groups == [1, 8, 8, 4]
    assert sorted(event.seq for event in answers) == list(range(1, 22))
    assert len({event.id for event in answers}) == 21
    with Journal(tmp_path / "journal.db") as journal:
        assert {event.id for event in journal.read_after(0)} == {event.id for event in answers}
    publisher.close()
    publisher.close()


def test_several_trades_are_accepted_in_their_order(tmp_path: Path, sender: partial[Sender]) -> None:
    publisher = Publisher(partial(Journal, tmp_path / "journal.db"), sender)
    first, second = publisher.accept([BUY, SELL]).events
    assert (first.seq, first.symbol, second.seq, second.symbol) == (1, "BTCUSDT", 2, "ETHUSDT")
    publisher.close()


def test_a_failed_commit_fails_every_trade_of_its_group_and_the_next_one_succeeds(
    tmp_path: Path, sender: partial[Sender]
) -> None:
    path = tmp_path / "journal.db"
    path.mkdir()
    publisher = Publisher(partial(Journal, path), sender)
    failed: list[str] = []

    def accept() -> None:
        try:
            publisher.accept([BUY])
        except JournalError as error:
            failed.append(error.reason)

    threads = [threading.Thread(target=accept) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(failed) == 5
    path.rmdir()
    assert publisher.accept([BUY]).events[0].seq == 1
    publisher.close()


def test_a_hint_that_cannot_be_sent_costs_nothing(tmp_path: Path) -> None:
    publisher = Publisher(partial(Journal, tmp_path / "journal.db"), partial(Sender, "tcp://"))
    assert publisher.accept([BUY]).events[0].seq == 1
    publisher.close()

import hashlib
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from common.errors import JournalError, KeyReusedError
from common.event import Event
from common.journal import rows
from common.journal.appending import AppendResult, KeyedTrade, Request
from common.journal.keys import SERVER, Key
from common.journal.store import Journal
from common.wire.hints import Hint
from common.wire.messages import EVENTS_MAX, RANGE, SeqRange, decode_message
from common.wire.transport import Sender
from tests.conftest import AT, BUY, SELL
from tests.waiting import wait_for
from webapp import commit_queue
from webapp.publisher import Publisher


class GatedJournal(Journal):
    """A journal whose first append sets ``entered`` and waits for ``gate``, while more requests queue."""

    entered = threading.Event()
    gate = threading.Event()
    commit_sizes: list[int]

    def append(self, requests: Sequence[Request]) -> list[AppendResult | KeyReusedError]:
        if not self.commit_sizes:
            self.entered.set()
            self.gate.wait(60)
        self.commit_sizes.append(len(requests))
        return super().append(requests)


@pytest.fixture
def sender(tmp_path: Path) -> partial[Sender]:
    return partial(Sender, f"ipc://{tmp_path}/trades")


def test_queued_requests_share_one_commit(
    tmp_path: Path, sender: partial[Sender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_queue, "COMMIT_LIMIT", 8)
    entered, gate, commit_sizes = threading.Event(), threading.Event(), list[int]()
    monkeypatch.setattr(GatedJournal, "entered", entered)
    monkeypatch.setattr(GatedJournal, "gate", gate)
    monkeypatch.setattr(GatedJournal, "commit_sizes", commit_sizes, raising=False)
    publisher = Publisher(GatedJournal(tmp_path / "journal.db"), sender)
    answers: list[Event] = []
    threads = [
        threading.Thread(target=lambda: answers.extend(publisher.accept([KeyedTrade(BUY)]).events)) for _ in range(21)
    ]
    threads[0].start()
    wait_for(entered.is_set, "the first commit has begun")
    for thread in threads[1:]:
        thread.start()
    queue = publisher._commits._queue  # noqa: SLF001 - no other sign that they are queued
    wait_for(lambda: len(queue) == 20, "all others are queued")
    gate.set()
    for thread in threads:
        thread.join(10)
    assert commit_sizes == [1, 8, 8, 4]
    assert sorted(event.seq for event in answers) == list(range(1, 22))
    assert len({event.id for event in answers}) == 21
    with Journal(tmp_path / "journal.db") as journal:
        assert {event.id for event in journal.read_after(0)} == {event.id for event in answers}
    publisher.close()
    publisher.close()


def test_several_trades_are_accepted_in_order(tmp_path: Path, sender: partial[Sender]) -> None:
    publisher = Publisher(Journal(tmp_path / "journal.db"), sender)
    first, second = publisher.accept([KeyedTrade(BUY), KeyedTrade(SELL)]).events
    assert (first.seq, first.symbol, second.seq, second.symbol) == (1, "BTCUSDT", 2, "ETHUSDT")
    publisher.close()


def test_a_failed_commit_fails_each_of_its_requests_and_the_next_one_succeeds(
    tmp_path: Path, sender: partial[Sender]
) -> None:
    path = tmp_path / "journal.db"
    path.mkdir()
    publisher = Publisher(Journal(path), sender)
    failed: list[str] = []

    def accept() -> None:
        try:
            publisher.accept([KeyedTrade(BUY)])
        except JournalError as error:
            failed.append(error.reason)

    threads = [threading.Thread(target=accept) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(failed) == 5
    path.rmdir()
    assert publisher.accept([KeyedTrade(BUY)]).events[0].seq == 1
    publisher.close()


def test_a_trade_is_accepted_when_its_hint_cannot_be_sent(tmp_path: Path) -> None:
    publisher = Publisher(Journal(tmp_path / "journal.db"), partial(Sender, "tcp://"))
    assert publisher.accept([KeyedTrade(BUY)]).events[0].seq == 1
    publisher.close()


class Recorder(Sender):
    """A sender that keeps its messages."""

    def __init__(self) -> None:
        self.sent: list[list[bytes]] = []

    def send(self, frames: Sequence[bytes]) -> None:
        self.sent.append(list(frames))

    def close(self) -> None:
        pass


def test_a_large_request_is_announced_as_a_range_in_the_order_of_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, gate, commit_sizes = threading.Event(), threading.Event(), list[int]()
    monkeypatch.setattr(GatedJournal, "entered", entered)
    monkeypatch.setattr(GatedJournal, "gate", gate)
    monkeypatch.setattr(GatedJournal, "commit_sizes", commit_sizes, raising=False)
    recorder = Recorder()
    publisher = Publisher(GatedJournal(tmp_path / "journal.db"), lambda _: recorder)
    queue = publisher._commits._queue  # noqa: SLF001 - no other sign that they are queued
    threads: list[threading.Thread] = []
    for place, size in enumerate([1, 2, EVENTS_MAX + 1, 60, 60]):
        trades = [KeyedTrade(BUY)] * size
        threads.append(threading.Thread(target=partial(publisher.accept, trades, request_id=f"r{place}")))
        threads[-1].start()
        wait_for(entered.is_set, "the first commit has begun")
        wait_for(lambda place=place: len(queue) == place, "the others are queued")  # type: ignore[misc]
    gate.set()
    for thread in threads:
        thread.join(10)
    publisher.close()
    assert commit_sizes == [1, 4]
    with Journal(tmp_path / "journal.db") as journal:
        found = [decode_message(frames, journal.journal_id) for frames in recorder.sent]
    seqs = [
        (each.first_seq, each.last_seq, each.request_id)
        if isinstance(each, SeqRange)
        else [(hint.seq, hint.request_id) for hint in cast("list[Hint]", each)]
        for each in found
    ]
    begin = 4 + EVENTS_MAX
    assert seqs == [
        [(1, "r0")],
        [(2, "r1"), (3, "r1")],
        (4, begin, "r2"),
        [(begin + 1 + n, "r3") for n in range(60)],
        [(begin + 61 + n, "r4") for n in range(60)],
    ]


def test_no_event_is_made_for_a_large_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[list[bytes]] = []
    sender = SimpleNamespace(send=sent.append, close=lambda: None)
    publisher = Publisher(Journal(tmp_path / "journal.db"), lambda _keys: cast("Sender", sender))
    with monkeypatch.context() as without:
        without.delattr(rows, "Event")
        result = publisher.accept([KeyedTrade(BUY)] * (EVENTS_MAX + 1))
    assert len(sent) == 1
    assert sent[0][0].startswith(RANGE)
    assert [event.seq for event in result.events] == list(range(1, EVENTS_MAX + 2))
    publisher.close()


def key(name: str, fields: str = "the same", owner: str = SERVER) -> Key:
    return Key(owner, name, hashlib.sha256(fields.encode()).digest())


@pytest.fixture
def publisher(tmp_path: Path, sender: partial[Sender]) -> Iterator[Publisher]:
    publisher = Publisher(Journal(tmp_path / "journal.db"), sender)
    yield publisher
    publisher.close()


def test_every_trade_of_a_request_is_written_with_a_key_or_without(publisher: Publisher) -> None:
    first = publisher.accept([KeyedTrade(BUY, key("a")), KeyedTrade(SELL, key("b")), KeyedTrade(BUY)])
    assert [(event.seq, event.symbol) for event in first.events] == [(1, "BTCUSDT"), (2, "ETHUSDT"), (3, "BTCUSDT")]
    assert (first.accepted, first.duplicates, first.last_seq) == (3, 0, 3)
    mixed = publisher.accept([KeyedTrade(SELL), KeyedTrade(SELL, key("b")), KeyedTrade(BUY, key("c"))])
    assert [event.seq for event in mixed.events] == [4, 2, 5]
    assert mixed.events[1] == first.events[1]
    assert list(mixed.written) == [mixed.events[0], mixed.events[2]]
    assert (mixed.accepted, mixed.duplicates, mixed.last_seq) == (2, 1, 5)


def test_trades_of_a_request_with_the_same_key_are_one_trade(publisher: Publisher) -> None:
    done = publisher.accept([KeyedTrade(BUY, key("a")), KeyedTrade(SELL), KeyedTrade(BUY, key("a"))])
    assert [event.seq for event in done.events] == [1, 2, 1]
    assert (done.accepted, done.duplicates) == (2, 1)


def test_a_request_with_a_key_used_for_other_fields_writes_nothing_and_lists_its_rows(publisher: Publisher) -> None:
    publisher.accept([KeyedTrade(BUY, key("a"))])
    rows = [
        KeyedTrade(SELL),
        KeyedTrade(BUY, key("a", "other")),
        KeyedTrade(BUY, key("b")),
        KeyedTrade(BUY, key("b", "other")),
    ]
    with pytest.raises(KeyReusedError) as caught:
        publisher.accept(rows)
    assert caught.value.rows == (1, 3)
    after = publisher.accept([KeyedTrade(BUY, key("b", "other"))])
    assert [event.seq for event in after.events] == [2]


def test_a_trade_that_was_written_under_one_of_its_other_keys_is_not_written_again(publisher: Publisher) -> None:
    first = publisher.accept([KeyedTrade(BUY, key("noon"), [key("noon+5"), key("noon-5")])])
    again = publisher.accept([KeyedTrade(SELL), KeyedTrade(BUY, key("noon+5"), [key("noon+10"), key("noon")])])
    assert again.events[1] == first.events[0]
    assert (again.accepted, again.duplicates) == (1, 1)
    # Its own key was not kept, so what is known under it only is another trade.
    later = publisher.accept([KeyedTrade(BUY, key("noon+10"), [key("noon+15"), key("noon+5")])])
    assert (later.accepted, later.events[0].seq) == (1, 3)


def test_a_request_sent_again_with_its_key_gets_the_same_events(publisher: Publisher) -> None:
    rows = [KeyedTrade(BUY, key("a")), KeyedTrade(SELL), KeyedTrade(BUY, key("a"))]
    first = publisher.accept(rows, key("request"))
    publisher.accept([KeyedTrade(SELL)])
    again = publisher.accept(rows, key("request"))
    assert again.replayed
    assert (again.accepted, again.duplicates, again.last_seq) == (first.accepted, first.duplicates, 2)
    assert again.events == first.events[:2]
    assert not again.written
    with pytest.raises(KeyReusedError):
        publisher.accept(rows, key("request", "other"))
    nothing_new = [KeyedTrade(BUY, key("a"))]
    for replayed in (False, True):
        done = publisher.accept(nothing_new, key("nothing new"))
        assert (done.accepted, done.duplicates, done.last_seq, done.replayed) == (0, 1, 0, replayed)


def test_a_batch_finds_the_key_of_a_single_trade_by_its_owner(publisher: Publisher) -> None:
    publisher.accept([KeyedTrade(BUY, key("a"))])
    batch = publisher.accept([KeyedTrade(SELL), KeyedTrade(BUY, key("a")), KeyedTrade(BUY, key("a", owner="source:x"))])
    assert [event.seq for event in batch.events] == [2, 1, 3]


def test_a_bad_request_does_not_fail_the_others_of_its_commit(tmp_path: Path) -> None:
    row, other = KeyedTrade(BUY, key("a")), KeyedTrade(BUY, key("a", "other"))
    with Journal(tmp_path / "journal.db") as journal:
        first, bad, third = journal.append([Request([each], AT) for each in (row, other, row)])
        assert isinstance(first, AppendResult)
        assert isinstance(bad, KeyReusedError)
        assert isinstance(third, AppendResult)
        assert (first.accepted, third.accepted, third.events) == (1, 0, list(first.events))
        assert journal.read_after(0) == list(first.events)


def test_the_key_of_a_request_is_pruned_with_its_last_trade(tmp_path: Path) -> None:
    trades = [KeyedTrade(BUY, key("a")), KeyedTrade(BUY, key("b"))]
    with Journal(tmp_path / "journal.db") as journal:
        journal.append([Request(trades, AT, key("request"))])
        journal.prune(1, b"{}")
        assert journal.query("SELECT seq FROM row_keys") == [(2,)]
        (again,) = journal.append([Request(trades, AT, key("request"))])
        assert isinstance(again, AppendResult)
        assert (again.replayed, again.accepted, [event.seq for event in again.events]) == (True, 2, [2])
        journal.prune(2, b"{}")
        assert journal.query("SELECT count(*) FROM row_keys") == journal.query("SELECT count(*) FROM request_keys")
        assert journal.query("SELECT (SELECT count(*) FROM row_keys), pruned_seq FROM journal") == [(0, 2)]

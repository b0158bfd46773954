"""What the sidecar knows of the newest trades: when it counted them, and which requests brought them."""

import threading
from pathlib import Path

import pytest

from common.wire import messages
from sidecar import newest
from sidecar.consumer import QUIET_SECONDS
from sidecar.counted_answer import encode_counted
from sidecar.newest import Newest
from tests.conftest import append, make_event, make_hint, make_trade
from tests.sidecar.test_consumer import Rig


def ask(rig: Rig, *seqs: int) -> list[float | None]:
    return [rig.counters.newest.find_time(seq) for seq in seqs]


def wait(rig: Rig) -> None:
    rig.receiver.now += QUIET_SECONDS
    rig.consumer.step()


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.wall = 100.0
    return rig


def test_each_trade_has_the_time_at_which_it_was_counted_first(rig: Rig) -> None:
    rig.accept(5)
    for rig.wall, seqs in ((100.0, (1,)), (101.0, (2, 3)), (102.0, (1, 2))):
        rig.hint(*seqs)
        rig.drain()
    assert ask(rig, 1, 2, 3, 4) == [100.0, 101.0, 101.0, None]
    # The hints of 4 and 5 are lost.
    rig.wall = 109.0
    wait(rig)
    assert ask(rig, 3, 4, 5, 6) == [101.0, 109.0, 109.0, None]


def test_trades_that_were_there_at_the_start_have_no_time(rig: Rig) -> None:
    rig.accept(3)
    rig.consumer.catch_up(threading.Event())
    rig.accept(1)
    rig.hint(4)
    rig.drain()
    assert ask(rig, 1, 3, 4) == [None, None, 100.0]


def test_trades_of_a_journal_that_was_put_in_place_have_no_time(rig: Rig) -> None:
    rig.accept(2)
    rig.hint(1, 2)
    rig.drain()
    rig.journal.close()
    for path in rig.path.parent.glob(f"{rig.path.name}*"):
        path.unlink()
    rig.accept(3)
    for _ in range(3):
        wait(rig)
    assert rig.state.last_seq == 3
    assert ask(rig, 1, 3) == [None, None]
    rig.accept(1)
    wait(rig)
    assert ask(rig, 3, 4) == [None, 100.0]


def test_the_request_of_a_trade_is_known_whether_its_hint_was_early_late_or_in_order(rig: Rig) -> None:
    rig.accept(4)
    for seq in (2, 1, 3):
        events = [event for event in rig.journal.read_after(0) if event.seq == seq]
        rig.receiver.messages.append(messages.encode_message(events, [f"request-{seq}"]))
    rig.drain()
    assert [rig.counters.newest.find_request(seq) for seq in (1, 2, 3, 4)] == [
        "request-1",
        "request-2",
        "request-3",
        None,
    ]


def test_the_request_of_a_large_batch_is_known(rig: Rig) -> None:
    rig.accept(200)
    written = messages.SeqRange(rig.journal.journal_id, 1, 200, "1970-01-01T00:00:00.000000Z", "batch")
    rig.receiver.messages.append(messages.encode_range(written))
    rig.drain()
    assert {rig.counters.newest.find_request(seq) for seq in (1, 77, 200)} == {"batch"}
    assert ask(rig, 1, 77, 200) == [100.0] * 3


def test_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest, "KEPT", 8)
    monkeypatch.setattr(newest, "_SPARE", 2)
    kept = Newest()
    for seq in range(1, 101):
        kept.note_requests([make_hint(make_event(seq), f"r{seq}")])
        kept.note_counted(seq, float(seq))
    known = [seq for seq in range(1, 101) if kept.find_time(seq) is not None]
    assert 8 <= len(known) <= 10
    assert known == list(range(101 - len(known), 101))
    assert all(kept.find_time(seq) == seq for seq in known)
    named = [seq for seq in range(1, 101) if kept.find_request(seq) == f"r{seq}"]
    assert 8 <= len(named) <= 10
    assert named == list(range(101 - len(named), 101))


def test_the_answer_says_what_is_known_and_of_which_journal(rig: Rig) -> None:
    append(rig.journal, [make_trade()])
    rig.hint(1)
    rig.drain()
    last = f'"journal_id":"{rig.journal.journal_id}","last_seq":1'
    counted = '"counted_at":"1970-01-01T00:01:40.000000Z"'
    assert encode_counted(rig.counters, 1).decode() == f'{{{last},{counted},"request_id":null}}\n'
    assert encode_counted(rig.counters, 2).decode() == f'{{{last},"counted_at":null,"request_id":null}}\n'

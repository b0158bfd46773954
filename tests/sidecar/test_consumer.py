"""Sequences of hints with gaps, duplicates and late arrivals, counted by a consumer over a real journal."""

import sqlite3
import threading
from collections import deque
from pathlib import Path

import pytest

from common.errors import AddressError, BadMessageError, TelemetryError
from common.journal.store import Journal
from common.settings import Settings
from common.wire import messages
from common.wire.transport import KeyPair
from common.wire.worker_totals import MILLION, WorkerTotals
from sidecar.consumer import QUIET_SECONDS, SILENT_SECONDS, Consumer
from sidecar.counters import Counters
from sidecar.state import State
from tests.conftest import append, make_event, make_trade, name_worker
from tests.worker_totals import count_requests

W1, W2 = name_worker(1), name_worker(2)


class FakeReceiver:
    """A queue of messages; time passes only while it is empty."""

    def __init__(self) -> None:
        self.now = 0.0
        self.messages: deque[list[bytes] | TelemetryError] = deque()
        self.keys: list[KeyPair] = []

    def use(self, keys: KeyPair) -> None:
        self.keys.append(keys)

    def receive(self, timeout: float) -> list[bytes] | None:
        if self.messages:
            message = self.messages.popleft()
            if isinstance(message, TelemetryError):
                raise message
            return message
        self.now += timeout
        return None


class Rig:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.db"
        self.journal = Journal(self.path)
        self.receiver = FakeReceiver()
        self.wall = 0.0
        settings = Settings(trading_symbols=("EARLY",))
        self.counters = Counters(State(self.journal.journal_id), settings)
        self.consumer = Consumer(
            self.counters,
            self.receiver,
            Journal(self.path, busy_seconds=0.01),
            settings,
            clock=lambda: self.receiver.now,
            wall_clock=lambda: self.wall,
        )

    @property
    def state(self) -> State:
        return self.counters.state

    def accept(self, count: int) -> None:
        append(self.journal, [make_trade() for n in range(count)])

    def hint(self, *seqs: int) -> None:
        by_seq = {event.seq: event for event in self.journal.read_after(0)}
        self.receiver.messages.append(messages.encode_message([by_seq[seq] for seq in seqs]))

    def announce(self, first_seq: int, last_seq: int) -> None:
        written = messages.SeqRange(self.journal.journal_id, first_seq, last_seq, "1970-01-01T00:00:00.000000Z")
        self.receiver.messages.append(messages.encode_range(written))

    def drain(self) -> None:
        while self.receiver.messages:
            self.consumer.step()

    @property
    def counted(self) -> int:
        return sum(tally.trades for symbol in self.state.symbols.values() for tally in symbol.tallies.values())


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_the_next_seq_is_applied_live(rig: Rig) -> None:
    rig.accept(3)
    rig.hint(1)
    rig.hint(2, 3)
    rig.drain()
    assert rig.counted == 3
    assert rig.state.observed.events == {"live": 3, "journal": 0}
    assert (rig.state.observed.gaps, rig.state.observed.duplicates) == (0, 0)


def test_a_duplicate_is_dropped_and_counted(rig: Rig) -> None:
    rig.accept(2)
    rig.hint(1)
    rig.hint(1)
    rig.hint(2)
    rig.hint(1, 2)
    rig.drain()
    assert rig.counted == 2
    assert rig.state.observed.duplicates == 3


def test_of_messages_that_have_arrived_together_a_bad_one_is_rejected_alone(rig: Rig) -> None:
    rig.accept(6)
    rig.hint(1)
    rig.hint(2, 3)
    rig.receiver.messages.append([b"trades/1\n[{}]"])
    rig.hint(4)
    rig.receiver.messages.append(BadMessageError("unauthorised", "no key"))
    rig.hint(5)
    rig.announce(6, 6)
    rig.drain()
    assert rig.state.observed.events == {"live": 6, "journal": 0}
    assert rig.state.observed.rejected["body"] == rig.state.observed.rejected["unauthorised"] == 1
    assert sum(rig.state.observed.delay.buckets.values()) == 6


def test_messages_that_have_arrived_together_are_processed_in_few_steps(rig: Rig) -> None:
    rig.accept(50)
    for seq in range(1, 51):
        rig.hint(seq)
    rig.consumer.step()
    assert rig.counted == 50
    assert not rig.receiver.messages


def test_events_of_a_journal_that_was_replaced_among_them_are_not_counted(rig: Rig) -> None:
    rig.accept(4)
    rig.hint(1)
    rig.hint(4)
    rig.hint(2)
    rig.journal.close()
    for file in rig.path.parent.glob(f"{rig.path.name}*"):
        file.unlink()
    rig.journal = Journal(rig.path)
    rig.accept(1)
    rig.drain()
    assert rig.counted == 1
    assert rig.state.observed.events == {"live": 0, "journal": 1}
    assert rig.state.observed.rejected["journal_id"] > 0


def test_a_message_of_a_journal_that_was_replaced_after_it_was_read_is_rejected_once(rig: Rig) -> None:
    rig.accept(6)
    by_seq = {event.seq: event for event in rig.journal.read_after(0)}
    rig.hint(4)
    rig.receiver.messages.append(messages.encode_message([by_seq[5], by_seq[6]], ["old-1", "old-1"]))
    rig.journal.close()
    for file in rig.path.parent.glob(f"{rig.path.name}*"):
        file.unlink()
    rig.journal = Journal(rig.path)
    rig.accept(6)
    rig.drain()
    rig.consumer.recover()
    assert rig.counted == 6
    # The first one is counted as a gap, by which the new journal is found.
    assert rig.state.observed.rejected["journal_id"] == 1
    assert rig.counters.newest.find_request(5) is None


def test_the_next_range_is_read_and_counts_as_live(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.consumer.CHUNK", 7)
    rig.accept(30)
    rig.announce(1, 20)
    rig.drain()
    # Those after it are left to their own hint.
    assert rig.counted == 20
    rig.announce(21, 30)
    rig.drain()
    assert rig.state.observed.events == {"live": 30, "journal": 0}
    assert sum(rig.state.observed.delay.buckets.values()) == 30
    assert (rig.state.observed.gaps, rig.state.observed.duplicates) == (0, 0)


def test_what_is_counted_of_a_range_is_not_counted_again(rig: Rig) -> None:
    rig.accept(10)
    rig.announce(1, 6)
    rig.announce(3, 10)
    rig.announce(1, 10)
    rig.drain()
    assert rig.counted == 10
    assert rig.state.observed.events == {"live": 10, "journal": 0}
    assert rig.state.observed.duplicates == 4 + 10


def test_a_range_past_the_next_seq_opens_a_gap(rig: Rig) -> None:
    rig.accept(10)
    rig.announce(5, 9)
    rig.drain()
    assert rig.counted == 10
    assert rig.state.observed.events == {"live": 0, "journal": 10}
    assert rig.state.observed.gaps == 1


def test_a_range_ahead_of_the_journal_is_not_counted(rig: Rig) -> None:
    rig.accept(2)
    rig.announce(1, 9)
    rig.drain()
    assert rig.counted == rig.state.last_seq == 2


def test_a_gap_is_filled_from_the_journal_at_once(rig: Rig) -> None:
    rig.accept(10)
    rig.hint(1)
    rig.hint(7)
    rig.drain()
    assert rig.counted == 10
    assert rig.state.observed.gaps == 1
    assert rig.state.observed.events == {"live": 1, "journal": 9}


def test_a_hole_in_seq_is_not_waited_for(rig: Rig) -> None:
    rig.accept(3)
    with sqlite3.connect(rig.path) as db:
        db.execute("DELETE FROM trades WHERE seq = 2")
    db.close()
    rig.hint(1)
    rig.hint(3)
    rig.drain()
    assert rig.counted == 2
    assert rig.state.last_seq == 3


def test_a_lost_hint_is_found_in_the_journal_when_no_hints_come(rig: Rig) -> None:
    rig.accept(5)
    assert rig.consumer.step()
    assert rig.counted == 5
    assert rig.receiver.now == QUIET_SECONDS
    assert not rig.consumer.step()


def test_malformed_messages_do_not_delay_the_reading_of_the_journal(rig: Rig) -> None:
    rig.accept(5)
    for _ in range(100):
        rig.receiver.messages.append([b"garbage"])
        rig.receiver.now += 0.01
        rig.consumer.step()
    assert rig.counted == 5
    rig.drain()
    assert rig.state.observed.rejected["kind"] == 100


def test_each_peer_that_is_cut_off_is_counted_and_logged_once_a_second(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    # As in a snapshot of a version without this reason.
    del rig.state.observed.rejected["unauthorised"]
    rig.accept(1)
    rig.receiver.messages += [BadMessageError("unauthorised", "no key")] * 100
    rig.receiver.messages += [BadMessageError("crowded", "too many")] * 2
    rig.drain()
    rig.receiver.now += 1
    rig.receiver.messages.append(BadMessageError("unauthorised", "no key"))
    rig.hint(1)
    rig.drain()
    assert rig.state.observed.rejected["unauthorised"] == 101
    assert rig.state.observed.rejected["crowded"] == 2
    assert rig.counted == 1
    logged = [(each.__dict__["reason"], each.__dict__["count"]) for each in caplog.records]
    assert logged == [("unauthorised", 1), ("crowded", 1), ("unauthorised", 100)]


def test_trades_are_counted_from_the_journal_while_the_address_cannot_be_bound(rig: Rig) -> None:
    rig.accept(5)
    rig.receiver.messages += [AddressError("address", "it is in use")] * 3
    rig.drain()
    rig.consumer.step()
    rig.consumer.step()
    assert rig.counted == 5


def test_duplicates_do_not_delay_the_reading_of_the_journal(rig: Rig) -> None:
    rig.accept(1)
    rig.hint(1)
    rig.drain()
    rig.accept(3)
    for _ in range(60):
        rig.hint(1)
        rig.receiver.now += 0.01
        rig.consumer.step()
    assert rig.counted == 4


def test_a_hint_ahead_of_the_journal_is_not_counted(rig: Rig) -> None:
    rig.receiver.messages.append(messages.encode_message([make_event(9, journal_id=rig.journal.journal_id)]))
    rig.drain()
    assert rig.counted == 0
    assert rig.state.last_seq == 0


def test_a_journal_that_cannot_be_read_is_logged_once_and_tried_again(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.accept(4)
    moved = rig.path.with_name("moved.db")
    rig.journal.close()
    rig.path.rename(moved)
    rig.path.mkdir()
    for _ in range(6):
        rig.consumer.step()
    assert rig.consumer.journal_error is not None
    assert [record.message for record in caplog.records].count("journal cannot be read") == 1
    rig.path.rmdir()
    moved.rename(rig.path)
    for _ in range(4):
        rig.consumer.step()
    assert rig.consumer.journal_error is None
    assert rig.counted == 4


def test_catching_up_reads_to_the_end_and_can_be_stopped(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.consumer.CHUNK", 7)
    rig.accept(50)
    stopped = threading.Event()
    stopped.set()
    rig.consumer.catch_up(stopped)
    assert rig.counted == 0
    rig.consumer.catch_up(threading.Event())
    assert rig.counted == 50


def test_another_journal_in_its_place_is_counted_from_its_beginning(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.accept(5)
    rig.consumer.recover()
    rig.journal.close()
    for file in rig.path.parent.glob(f"{rig.path.name}*"):
        file.unlink()
    rig.journal = Journal(rig.path)
    rig.accept(2)
    for _ in range(2):
        rig.consumer.step()
    assert rig.counted == 2
    assert rig.state.journal_id == rig.journal.journal_id
    assert "EARLY" in rig.state.symbols
    assert rig.receiver.keys[0] != rig.receiver.keys[-1] == rig.journal.key_pair
    assert [record.message for record in caplog.records if "journal replaced" in record.message]
    assert rig.consumer.journal_error is None


def test_worker_totals_are_taken_between_hints_and_a_silent_worker_is_not_active(rig: Rig) -> None:
    rig.accept(1)
    rig.receiver.messages.append(
        messages.encode_report(WorkerTotals(W1, 1, metrics=[count_requests({"GET / 200": 4})]))
    )
    rig.hint(1)
    rig.drain()
    assert rig.counted == 1
    ((_, series),) = rig.state.observed.workers.sum_up()
    assert series == {"GET / 200": [4 * MILLION]}
    assert rig.consumer.list_active() == [W1]
    rig.receiver.now += SILENT_SECONDS
    assert rig.consumer.list_active() == []
    for totals in (WorkerTotals(W1, 2), WorkerTotals(W2, 1), WorkerTotals(W1, 3, ended=True)):
        rig.receiver.messages.append(messages.encode_report(totals))
    rig.drain()
    assert rig.consumer.list_active() == [W2]

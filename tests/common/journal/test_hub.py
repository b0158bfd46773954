"""A hub's journal has each trade of its hosts once, whatever happens to the batches on their way."""

import contextlib
import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from common.errors import HubError, JournalError
from common.event import Event
from common.journal.hub import Batch, BatchResult, Host, Place
from common.journal.opening import back_up, restore
from common.journal.store import Journal
from tests.common.journal.test_migrations import make_version_1
from tests.conftest import ROOT, append, make_event, make_trade
from tests.waiting import wait_for

A, B = "a" * 32, "b" * 32


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "hub.db") as journal:
        journal.adopt()
        yield journal


def make_history(journal_id: str, seqs: Sequence[int], word: str = "id") -> list[Event]:
    return [replace(make_event(seq), journal_id=journal_id, id=f"{word}-{journal_id[0]}-{seq}") for seq in seqs]


def receive(hub: Journal, journal_id: str, after: int, events: Sequence[Event]) -> BatchResult:
    (result,) = hub.append_batches([Batch(journal_id, after, events)])
    assert isinstance(result, BatchResult)
    return result


def list_arrived(hub: Journal) -> list[tuple[object, object, str]]:
    return [(event.host_journal_id, event.host_seq, event.id) for event in hub.read_after(0)]


def test_trades_keep_their_ids_and_times_and_name_their_host(hub: Journal, tmp_path: Path) -> None:
    with Journal(tmp_path / "host.db") as host:
        events = append(host, [make_trade(source="a", ref=" '7", fee="0.0"), make_trade(side="SELL")])
        assert receive(hub, host.journal_id, 0, events) == BatchResult(2, written=2)
    found = hub.read_after(0)
    assert [(event.seq, event.journal_id) for event in found] == [(1, hub.journal_id), (2, hub.journal_id)]
    assert [
        replace(event, journal_id=event.host_journal_id, host_journal_id=UNSET, host_seq=UNSET) for event in found
    ] == events
    assert [event.host_seq for event in found] == [1, 2]
    assert [hub.find(event.id) for event in events] == found
    assert hub.list_hosts() == [Host(events[0].journal_id, 2, 1, 1, events[1].ts)]


def test_holes_are_normal_and_a_gap_is_not(hub: Journal) -> None:
    history = make_history(A, [3, 7, 9])
    assert receive(hub, A, 3, history[1:]) == BatchResult(0, gap=True)
    assert receive(hub, A, 0, history[:1]) == BatchResult(3, written=1)
    assert receive(hub, A, 7, history[2:]) == BatchResult(3, gap=True)
    assert receive(hub, A, 3, history[1:]) == BatchResult(9, written=2)
    assert list_arrived(hub) == [(A, 3, "id-a-3"), (A, 7, "id-a-7"), (A, 9, "id-a-9")]


def test_a_batch_that_comes_again_is_a_duplicate_however_it_is_cut(hub: Journal) -> None:
    history = make_history(A, [1, 2, 3, 4])
    assert receive(hub, A, 0, history[:3]) == BatchResult(3, written=3)
    assert receive(hub, A, 0, history[:2]) == BatchResult(3, duplicates=2)
    assert receive(hub, A, 1, history[1:]) == BatchResult(4, written=1, duplicates=2)
    assert receive(hub, A, 4, []) == BatchResult(4)
    assert len(list_arrived(hub)) == 4


def test_a_host_that_was_restored_from_a_copy_sends_no_trade_twice(hub: Journal, tmp_path: Path) -> None:
    with Journal(tmp_path / "host.db") as host:
        before = append(host, [make_trade(), make_trade()])
        receive(hub, host.journal_id, 0, before)
        back_up(host.path, tmp_path / "copy.db")
    restore(tmp_path / "copy.db", tmp_path / "restored.db")
    with Journal(tmp_path / "restored.db") as restored:
        after = append(restored, [make_trade(price="7")])
        events = restored.read_after(0)
        assert receive(hub, restored.journal_id, 0, events) == BatchResult(3, written=1, duplicates=2)
    assert [event.id for event in hub.read_after(0)] == [event.id for event in before + after]


@pytest.mark.parametrize(
    ("after", "seqs", "conflict"),
    [(2, [3], 3), (0, [1, 2, 3], 1), (2, [3, 4], 3), (1, [4], 3), (2, [4, 5], 3)],
    ids=["the newest trade", "all", "the newest and one more", "a history without it", "another without it"],
)
def test_another_history_of_a_journal_is_a_conflict_and_none_of_it_is_written(
    hub: Journal, after: int, seqs: list[int], conflict: int
) -> None:
    receive(hub, A, 0, make_history(A, [1, 2, 3]))
    assert receive(hub, A, after, make_history(A, seqs, "other")) == BatchResult(3, conflict=conflict)
    assert len(list_arrived(hub)) == 3
    assert receive(hub, A, 3, make_history(A, [4])) == BatchResult(4, written=1)


def test_a_batch_that_follows_another_trade_than_the_one_at_the_mark_is_a_conflict(hub: Journal) -> None:
    receive(hub, A, 0, make_history(A, [1, 2]))
    for events in ([], make_history(A, [3])):
        (result,) = hub.append_batches([Batch(A, 2, events, "other-2")])
        assert result == BatchResult(2, conflict=2)
    (result,) = hub.append_batches([Batch(A, 2, make_history(A, [3]), "id-a-2")])
    assert result == BatchResult(3, written=1)
    # Skipped trades have no id to compare with.
    hub.skip_host(A, 7)
    (result,) = hub.append_batches([Batch(A, 7, make_history(A, [8]), "id-a-7")])
    assert result == BatchResult(8, written=1)


def test_the_place_in_a_stream_is_written_with_what_it_carried_or_not_at_all(hub: Journal) -> None:
    assert hub.read_place("TRADES") == Place("TRADES")
    hub.append_batches([Batch(A, 0, make_history(A, [1]))], Place("TRADES", "monday", 4))
    assert hub.read_place("TRADES") == Place("TRADES", "monday", 4)
    with pytest.raises(AttributeError):
        hub.append_batches([Batch(A, 1, make_history(A, [2])), None], Place("TRADES", "monday", 5))  # type: ignore[list-item]
    assert hub.read_place("TRADES") == Place("TRADES", "monday", 4)
    assert [seq for _, seq, _ in list_arrived(hub)] == [1]
    hub.append_batches([], Place("TRADES", "tuesday", 1))
    assert (hub.read_place("TRADES"), hub.read_place("OTHER")) == (Place("TRADES", "tuesday", 1), Place("OTHER"))


def test_a_conflict_is_found_when_the_trades_have_been_pruned(hub: Journal) -> None:
    receive(hub, A, 0, make_history(A, [1, 2, 3]))
    hub.prune(3, b"{}")
    assert receive(hub, A, 2, make_history(A, [3, 4], "other")) == BatchResult(3, conflict=3)
    assert receive(hub, A, 2, make_history(A, [3, 4])) == BatchResult(4, written=1, duplicates=1)
    assert hub.query("SELECT seq, host_seq FROM arrivals") == [(4, 4)]
    assert hub.list_hosts() == [Host(A, 4, 4, 0, make_event(1).ts)]


@pytest.mark.parametrize("seqs", [[2, 1], [1, 1], [0], [3, 5]], ids=["backwards", "twice", "not after", "of another"])
def test_a_batch_out_of_order_is_an_error_and_the_others_are_written(hub: Journal, seqs: list[int]) -> None:
    bad = make_history(A, seqs)
    if seqs == [3, 5]:
        bad[1] = replace(bad[1], journal_id=B)
    error, result = hub.append_batches([Batch(A, 0, bad), Batch(B, 0, make_history(B, [1]))])
    assert isinstance(error, HubError)
    assert (error.reason, result) == ("order", BatchResult(1, written=1))
    assert list_arrived(hub) == [(B, 1, "id-b-1")]


def test_a_hub_does_not_read_itself(hub: Journal) -> None:
    (error,) = hub.append_batches([Batch(hub.journal_id, 0, make_history(hub.journal_id, [1]))])
    assert isinstance(error, HubError)
    assert error.reason == "itself"


def test_a_hub_takes_no_trades_of_its_own(hub: Journal) -> None:
    with pytest.raises(HubError) as caught:
        append(hub, [make_trade()])
    assert caught.value.reason == "hub"
    assert hub.last_seq() == 0


def test_a_journal_with_trades_is_not_adopted_not_even_when_all_were_pruned(tmp_path: Path) -> None:
    with Journal(tmp_path / "own.db") as journal:
        append(journal, [make_trade()])
        for _ in range(2):
            with pytest.raises(HubError) as caught:
                journal.adopt()
            assert caught.value.reason == "trades"
            journal.prune(1, b"{}")
        assert journal.list_hosts() is None
        assert append(journal, [make_trade()])[0].host_seq is UNSET


def test_a_hub_is_adopted_once_and_stays_one(hub: Journal, tmp_path: Path) -> None:
    receive(hub, A, 0, make_history(A, [1]))
    hub.adopt()
    assert len(list_arrived(hub)) == 1
    back_up(hub.path, tmp_path / "copy.db")
    restore(tmp_path / "copy.db", tmp_path / "second.db")
    with Journal(tmp_path / "second.db") as second:
        assert receive(second, A, 1, make_history(A, [2])) == BatchResult(2, written=1)


def test_an_empty_journal_of_an_earlier_version_becomes_a_hub(tmp_path: Path) -> None:
    old = make_version_1(tmp_path / "old.db", "DELETE FROM trades; DELETE FROM sqlite_sequence;")
    with Journal(old) as journal:
        journal.adopt()
        assert receive(journal, A, 0, make_history(A, [1])) == BatchResult(1, written=1)


def test_a_connection_that_is_open_when_its_journal_is_adopted_names_the_hosts(tmp_path: Path) -> None:
    with Journal(tmp_path / "hub.db") as hub, Journal(tmp_path / "hub.db") as reader:
        assert reader.read_after(0) == []
        hub.adopt()
        receive(hub, A, 0, make_history(A, [1]))
        assert list_arrived(reader) == [(A, 1, "id-a-1")]
        with pytest.raises(HubError):
            append(reader, [make_trade()])


def test_a_full_or_locked_journal_moves_no_mark(hub: Journal) -> None:
    with contextlib.closing(sqlite3.connect(hub.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError), Journal(hub.path, busy_seconds=0.05) as second:
            receive(second, A, 0, make_history(A, [1]))
    assert hub.list_hosts() == []
    assert receive(hub, A, 0, make_history(A, [1])) == BatchResult(1, written=1)


_HOLES = st.lists(st.integers(1, 3), min_size=1, max_size=12).map(lambda steps: list(itertools.accumulate(steps)))


@given(histories=st.tuples(_HOLES, _HOLES), data=st.data())
@settings(max_examples=25, deadline=None)
def test_any_cut_loss_repetition_and_mixture_of_batches_ends_with_every_trade_once(
    tmp_path_factory: pytest.TempPathFactory, histories: tuple[list[int], list[int]], data: st.DataObject
) -> None:
    seqs = {journal_id: make_history(journal_id, each) for journal_id, each in zip((A, B), histories, strict=True)}
    cuts = st.tuples(st.sampled_from([A, B]), st.integers(0, 12), st.integers(0, 12))
    with Journal(tmp_path_factory.mktemp("hub") / "hub.db", sync="normal") as hub:
        hub.adopt()
        for journal_id, start, count in data.draw(st.lists(cuts, max_size=15)):
            history = seqs[journal_id]
            after = history[start - 1].seq if 0 < start <= len(history) else 0
            batch = [event for event in history if event.seq > after][:count]
            assert receive(hub, journal_id, after, batch).conflict is None
        for journal_id, history in seqs.items():
            mark = receive(hub, journal_id, 0, []).last_seq
            arrived = [seq for host, seq, _ in list_arrived(hub) if host == journal_id]
            assert arrived == [event.seq for event in history if event.seq <= mark]
            receive(hub, journal_id, mark, [event for event in history if event.seq > mark])
            arrived = [seq for host, seq, _ in list_arrived(hub) if host == journal_id]
            assert arrived == [event.seq for event in history]
        hosts = hub.list_hosts()
        assert hosts is not None
        assert {host.journal_id: host.buys + host.sells for host in hosts} == {
            journal_id: len(history) for journal_id, history in seqs.items()
        }


_PULL = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from common.journal.hub import Batch
from common.journal.store import Journal
host, hub = Journal(Path(sys.argv[1])), Journal(Path(sys.argv[2]))
while True:
    mark = next((each.last_seq for each in hub.list_hosts() if each.journal_id == host.journal_id), 0)
    hub.append_batches([Batch(host.journal_id, mark, host.read_after(mark, 7))])
"""


def test_pulling_processes_may_be_killed_at_any_moment_two_at_once(hub: Journal, tmp_path: Path) -> None:
    with Journal(tmp_path / "host.db") as host, contextlib.ExitStack() as running:
        append(host, [make_trade() for _ in range(2000)])
        command = [sys.executable, "-c", _PULL, str(host.path), str(hub.path)]

        def start() -> subprocess.Popen[bytes]:
            process = running.enter_context(subprocess.Popen(command))
            running.callback(process.kill)
            return process

        pulling = [start(), start()]
        chance = random.Random(7)
        for _ in range(4):
            was = hub.last_seq()
            wait_for(lambda was=was: hub.last_seq() > was or hub.last_seq() == 2000, "a batch arrives")  # type: ignore[misc]
            victim = pulling.pop(chance.randrange(2))
            os.kill(victim.pid, signal.SIGKILL)
            victim.wait()
            pulling.append(start())
        wait_for(lambda: hub.last_seq() == 2000, "all have arrived")
        assert [(event.host_seq, event.id) for event in hub.read_after(0)] == [
            (event.seq, event.id) for event in host.read_after(0)
        ]

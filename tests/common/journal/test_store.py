import contextlib
import multiprocessing
import sqlite3
import tempfile
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uuid_utils import uuid7

from common.errors import JournalError
from common.event import TRADE_FIELDS, Trade, TradeColumns
from common.journal import rows
from common.journal.appending import AppendResult, KeyedTrade, KeyedTrades, Request
from common.journal.batches import read_batches
from common.journal.connection import Latch
from common.journal.file import JOURNAL_REASONS
from common.journal.hub import Batch
from common.journal.keys import Key
from common.journal.store import Journal
from tests.conftest import AT, BUY, SELL, append, make_event, make_trade


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "journal ?#%.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal(path) as opened:
        yield opened


def reason_of(caught: pytest.ExceptionInfo[JournalError]) -> str:
    assert caught.value.reason in JOURNAL_REASONS
    return caught.value.reason


def test_what_is_appended_is_read_back_in_order_with_seq_and_journal_id(journal: Journal) -> None:
    given = [make_trade(price="1.10", source="a", ref=" '7", fee="0.0"), make_trade(), make_trade(side="SELL")]
    appended = append(journal, given[:2]) + append(journal, given[2:])
    assert [event.seq for event in appended] == [1, 2, 3]
    assert {(event.journal_id, event.accepted_at) for event in appended} == {(journal.journal_id, AT)}
    assert [[getattr(event, name) for name in TRADE_FIELDS] for event in appended] == [
        [getattr(trade, name) for name in TRADE_FIELDS] for trade in given
    ]
    assert journal.read_after(0) == appended
    assert journal.read_after(1, limit=1) == appended[1:2]
    assert journal.last_seq() == 3


def test_a_row_of_a_program_that_knows_no_source_ref_and_fee_is_read(journal: Journal, path: Path) -> None:
    row = (make_event(1).id, AT, AT, "BTCUSDT", "BUY", "1", "2")
    insert = "INSERT INTO trades (id, accepted_at, own_ts, symbol, side, price, qty) VALUES (?, ?, ?, ?, ?, ?, ?)"
    with contextlib.closing(sqlite3.connect(path)) as earlier, earlier:
        earlier.execute(insert, row)
    (event,) = journal.read_after(0)
    assert (event.source, event.ref, event.fee) == ("", None, None)


def test_a_trade_without_a_time_happened_when_it_was_accepted_and_keeps_that_time_once(
    journal: Journal, tmp_path: Path
) -> None:
    own = "2026-01-30T09:30:00.000000Z"
    events = append(journal, [make_trade(ts=""), make_trade(ts=own)])
    assert [event.ts for event in events] == [AT, own]
    assert journal.read_after(0) == journal.select(limit=9, ts_since=own) == events
    assert journal.select(limit=9, ts_since=AT) == events[:1]
    assert [batch.newest_ts for batch in read_batches(journal, 0, 9)] == [AT]
    with Journal(tmp_path / "hub.db") as hub:
        hub.adopt()
        hub.append_batches([Batch(journal.journal_id, 0, events)])
        for each in (journal, hub):
            assert each.query("SELECT own_ts, ts FROM trades ORDER BY seq") == [("", AT), (own, own)]


def test_requests_of_one_commit_keep_their_order_and_times_with_keys_and_without(journal: Journal) -> None:
    times = [f"2026-01-31T09:30:0{second}.000000Z" for second in range(6)]
    key = Key("", "a", b"digest")
    given = [
        Request([KeyedTrade(make_trade(ts=""))], times[0]),
        Request([KeyedTrade(make_trade(ref="x")), KeyedTrade(make_trade())], times[1]),
        Request([KeyedTrade(make_trade(), key)], times[2]),
        Request([], times[3]),
        Request([KeyedTrade(make_trade(fee="0"))], times[4]),
        Request([KeyedTrade(make_trade(), key)], times[5]),
    ]
    results = [result for result in journal.append(given) if isinstance(result, AppendResult)]
    assert [[event.seq for event in result.events] for result in results] == [[1], [2, 3], [4], [], [5], [4]]
    assert [result[2:] for result in results] == [
        (1, 0, 1, False), (2, 0, 3, False), (1, 0, 4, False), (0, 0, 0, False), (1, 0, 5, False), (0, 1, 0, False),
    ]  # fmt: skip
    assert [event for result in results for event in result.written] == journal.read_after(0)
    assert [event.accepted_at for event in journal.read_after(0)] == [times[n] for n in (0, 1, 1, 2, 4)]


NAMED = [Key(owner, name, digest) for owner in ("", "source:a") for name in "xy" for digest in (b"1", b"2")]
MANY = st.lists(
    st.lists(st.tuples(st.sampled_from([BUY, SELL, make_trade(ts="", ref="r")]), st.sampled_from([None, *NAMED]))),
    min_size=1,
    max_size=4,
)


@given(requests=MANY, keyed=st.booleans())
@settings(max_examples=30)
def test_trades_by_columns_are_written_as_each_alone(
    requests: list[list[tuple[Trade, Key | None]]], *, keyed: bool
) -> None:
    written: list[tuple[object, ...]] = []
    drawn = [[(trade, key if keyed else None) for trade, key in request] for request in requests]
    alone = [[KeyedTrade(*each) for each in request] for request in drawn]
    by_columns = [
        KeyedTrades(TradeColumns.split(trade for trade, _ in request), [key for _, key in request] if keyed else ())
        for request in drawn
    ]
    assert list(map(list, by_columns)) == alone
    for each in (alone, by_columns):
        with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.db") as journal:
            outcomes = journal.append([Request(trades, AT) for trades in each])
            found = journal.query("SELECT own_ts, symbol, ref, row_keys.* FROM trades LEFT JOIN row_keys USING (seq)")
            seqs = [
                [event.seq for event in outcome.events] if isinstance(outcome, AppendResult) else outcome.rows
                for outcome in outcomes
            ]
            written.append((found, seqs, [outcome[2:] for outcome in outcomes if isinstance(outcome, AppendResult)]))
    assert written[0] == written[1]


def test_an_empty_journal_ends_at_zero(journal: Journal) -> None:
    assert journal.last_seq() == 0
    assert journal.read_after(0) == []


def test_a_journal_keeps_its_id_and_another_journal_has_another(path: Path, tmp_path: Path) -> None:
    with Journal(path) as first, Journal(path) as again, Journal(tmp_path / "other.db") as other:
        assert first.journal_id == again.journal_id != other.journal_id


def test_a_transaction_is_all_or_nothing(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    first = append(journal, [make_trade()])
    with monkeypatch.context() as patched:
        ids = iter([uuid7(), UUID(first[0].id)])
        patched.setattr(rows, "uuid7", lambda: next(ids))
        with pytest.raises(JournalError):
            append(journal, [make_trade(), make_trade()])
    assert journal.read_after(0) == first
    assert append(journal, [make_trade()])[0].seq == 2


def test_a_seq_is_not_reused_after_the_newest_row_is_deleted(path: Path) -> None:
    with Journal(path) as journal:
        append(journal, [make_trade(), make_trade()])
        with sqlite3.connect(path) as db:
            db.execute("DELETE FROM trades")
        db.close()
        assert journal.last_seq() == 2
        assert append(journal, [make_trade()])[0].seq == 3


def test_writes_are_synced_by_default(path: Path) -> None:
    for chosen, level in ((), 2), (("full",), 2), (("normal",), 1):
        with Journal(path, *chosen) as journal:
            assert journal.query("PRAGMA synchronous") == [(level,)]
            assert journal.query("PRAGMA journal_mode") == [("wal",)]


def test_select_gives_the_newest_or_pages_forward_and_filters(journal: Journal) -> None:
    for number in range(6):
        symbol, side = ("ETHUSDT", "SELL") if number % 2 else ("BTCUSDT", "BUY")
        append(journal, [make_trade(symbol=symbol, side=side)])
    assert [event.seq for event in journal.select(limit=2)] == [5, 6]
    assert [event.seq for event in journal.select(limit=2, after=0)] == [1, 2]
    assert [event.seq for event in journal.select(limit=9, symbol="ETHUSDT", side="SELL", after=2)] == [4, 6]
    assert journal.select(limit=9, symbol="ETHUSDT", side="BUY") == []


def test_find_gives_one_event_or_none(journal: Journal) -> None:
    (event, _) = append(journal, [make_trade(), make_trade()])
    assert journal.find(event.id) == event
    assert journal.find("' OR 1=1 --") is None


def test_an_id_is_stored_as_16_bytes_and_one_that_is_stored_as_text_is_found(journal: Journal, path: Path) -> None:
    append(journal, [make_trade() for _ in range(3)])
    assert journal.query("SELECT DISTINCT typeof(id), length(id) FROM trades") == [("blob", 16)]
    ids = ["01a20884-7740-700f-bca1-01eafb72f265", "01A20884-7740-700F-BCA1-01EAFB72F265", "no UUID"]
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.executemany("UPDATE trades SET id = ? WHERE seq = ?", [(each, seq) for seq, each in enumerate(ids, 1)])
    assert [event.id for event in journal.read_after(0)] == ids
    assert [getattr(journal.find(each), "seq", None) for each in ids] == [1, 2, 3]


def test_a_journal_locked_by_another_writer_has_the_reason_locked(path: Path) -> None:
    with Journal(path, busy_seconds=0.05) as journal:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError) as caught:
            append(journal, [make_trade()])
        assert reason_of(caught) == "locked"
        with pytest.raises(JournalError):
            journal.check_writable()
        other.execute("ROLLBACK")
        other.close()
        journal.check_writable()
        assert append(journal, [make_trade()])[0].seq == 1


def test_a_file_that_is_not_a_journal_is_rejected_and_not_changed(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but longer than a SQLite header would be " * 20)
    with pytest.raises(JournalError) as caught:
        Journal(text).open()
    assert reason_of(caught) == "corrupt"
    assert text.read_text().startswith("not a database")

    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    with pytest.raises(JournalError) as caught:
        Journal(foreign).open()
    assert reason_of(caught) == "foreign"


def test_a_journal_of_a_newer_version_is_rejected(path: Path) -> None:
    Journal(path).open().close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(JournalError, match="99") as caught:
        Journal(path).open()
    assert reason_of(caught) == "version"


def test_a_path_below_a_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError) as caught:
        Journal(tmp_path / "file" / "journal.db").open()
    assert reason_of(caught) == "unopenable"


def _open_and_append(path: Path, barrier: Barrier) -> None:
    barrier.wait(60)
    with Journal(path, busy_seconds=20) as journal:
        for _ in range(50):
            append(journal, [make_trade()])


def test_processes_that_start_at_once_share_one_journal_and_one_order(path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(3)
    writers = [spawn.Process(target=_open_and_append, args=(path, barrier)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    with Journal(path) as journal:
        events = journal.read_after(0)
    assert [event.seq for event in events] == list(range(1, 151))
    assert len({event.id for event in events}) == 150
    assert list(path.parent.glob("*.new")) == []


def test_a_journal_that_was_replaced_takes_no_trade_on_the_old_connection(path: Path) -> None:
    journal = Journal(path, latch=Latch())
    append(journal, [make_trade()])
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).rename(path.with_name(f"old {name}"))
    for ask in (journal.last_seq, journal.check_writable, lambda: append(journal, [make_trade()])):
        with pytest.raises(JournalError) as caught:
            ask()
        assert reason_of(caught) == "replaced"
    with Journal(path) as new:
        assert new.last_seq() == 0


def test_reads_in_one_transaction_see_one_state(journal: Journal, path: Path) -> None:
    append(journal, [make_trade()])
    with Journal(path) as other, journal.read_transaction():
        assert len(journal.read_after(0)) == 1
        append(other, [make_trade()])
        assert len(journal.read_after(0)) == 1
    assert len(journal.read_after(0)) == 2

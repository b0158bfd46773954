import multiprocessing
import sqlite3
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from common.errors import JournalError
from common.journal.file import JOURNAL_REASONS
from common.journal.store import Journal
from tests.conftest import make_event


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
    assert journal.append([make_event(0, id="a", price="1.10"), make_event(0, id="b")]) == [1, 2]
    assert journal.append([make_event(0, id="c")]) == [3]
    read = journal.read_after(1)
    assert [(event.seq, event.id, event.journal_id) for event in read] == [
        (2, "b", journal.journal_id),
        (3, "c", journal.journal_id),
    ]
    assert journal.read_after(0, limit=1)[0].price == "1.10"
    assert journal.last_seq() == 3


def test_an_empty_journal_ends_at_zero(journal: Journal) -> None:
    assert journal.last_seq() == 0
    assert journal.read_after(0) == []


def test_a_journal_keeps_its_id_and_another_journal_has_another(path: Path, tmp_path: Path) -> None:
    with Journal(path) as first, Journal(path) as again, Journal(tmp_path / "other.db") as other:
        assert first.journal_id == again.journal_id != other.journal_id


def test_a_transaction_is_all_or_nothing(journal: Journal) -> None:
    journal.append([make_event(0, id="a")])
    with pytest.raises(JournalError):
        journal.append([make_event(0, id="b"), make_event(0, id="a")])
    assert [event.id for event in journal.read_after(0)] == ["a"]
    assert journal.append([make_event(0, id="c")]) == [2]


def test_a_seq_is_not_reused_after_the_newest_row_is_deleted(path: Path) -> None:
    with Journal(path) as journal:
        journal.append([make_event(0, id="a"), make_event(0, id="b")])
        with sqlite3.connect(path) as db:
            db.execute("DELETE FROM trades")
        db.close()
        assert journal.last_seq() == 2
        assert journal.append([make_event(0, id="c")]) == [3]


def test_writes_are_synced_by_default(path: Path) -> None:
    for chosen, level in ((), 2), (("full",), 2), (("normal",), 1):
        with Journal(path, *chosen) as journal:
            assert journal._db.execute("PRAGMA synchronous").fetchone() == (level,)  # noqa: SLF001 - no other way to see it
            assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)  # noqa: SLF001


def test_select_gives_the_newest_or_pages_forward_and_filters(journal: Journal) -> None:
    for number in range(6):
        symbol, side = ("ETHUSDT", "SELL") if number % 2 else ("BTCUSDT", "BUY")
        journal.append([make_event(0, id=str(number), symbol=symbol, side=side)])
    assert [event.seq for event in journal.select(limit=2)] == [5, 6]
    assert [event.seq for event in journal.select(limit=2, after=0)] == [1, 2]
    assert [event.seq for event in journal.select(limit=9, symbol="ETHUSDT", side="SELL", after=2)] == [4, 6]
    assert journal.select(limit=9, symbol="ETHUSDT", side="BUY") == []


def test_find_gives_one_event_or_none(journal: Journal) -> None:
    journal.append([make_event(0, id="a")])
    found = journal.find("a")
    assert found is not None
    assert found.seq == 1
    assert journal.find("' OR 1=1 --") is None


def test_an_id_is_stored_as_16_bytes_and_read_as_it_came(journal: Journal) -> None:
    text, odd = "01a20884-7740-700f-bca1-01eafb72f265", "01A20884-7740-700F-BCA1-01EAFB72F265"
    journal.append([make_event(0, id=text), make_event(0, id=odd), make_event(0, id="no UUID")])
    assert journal.query("SELECT typeof(id), length(id) FROM trades ORDER BY seq") == [
        ("blob", 16),
        ("text", 36),
        ("text", 7),
    ]
    assert [event.id for event in journal.read_after(0)] == [text, odd, "no UUID"]
    assert [getattr(journal.find(each), "seq", None) for each in (text, odd, "no UUID")] == [1, 2, 3]
    with pytest.raises(JournalError):
        journal.append([make_event(0, id=text)])


def test_a_journal_locked_by_another_writer_has_the_reason_locked(path: Path) -> None:
    with Journal(path, busy_seconds=0.05) as journal:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError) as caught:
            journal.append([make_event(0)])
        assert reason_of(caught) == "locked"
        with pytest.raises(JournalError):
            journal.check_writable()
        other.execute("ROLLBACK")
        other.close()
        journal.check_writable()
        assert journal.append([make_event(0)]) == [1]


def test_a_file_that_is_not_a_journal_is_rejected_and_not_changed(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but longer than a SQLite header would be " * 20)
    with pytest.raises(JournalError) as caught:
        Journal(text)
    assert reason_of(caught) == "corrupt"
    assert text.read_text().startswith("not a database")

    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    with pytest.raises(JournalError) as caught:
        Journal(foreign)
    assert reason_of(caught) == "foreign"


def test_a_journal_of_a_newer_version_is_rejected(path: Path) -> None:
    Journal(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(JournalError, match="99") as caught:
        Journal(path)
    assert reason_of(caught) == "version"


def test_a_path_below_a_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError) as caught:
        Journal(tmp_path / "file" / "journal.db")
    assert reason_of(caught) == "unopenable"


def _open_and_append(path: Path, barrier: Barrier, name: str) -> None:
    barrier.wait(10)
    with Journal(path, busy_seconds=20) as journal:
        for number in range(50):
            journal.append([make_event(0, id=f"{name}-{number}")])


def test_processes_that_start_at_once_share_one_journal_and_one_order(path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(3)
    writers = [spawn.Process(target=_open_and_append, args=(path, barrier, str(n))) for n in range(3)]
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


def test_a_journal_that_was_replaced_takes_no_trade_on_the_old_connection(journal: Journal, path: Path) -> None:
    journal.append([make_event(0, id="a")])
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).rename(path.with_name(f"old {name}"))
    for ask in (journal.last_seq, journal.check_writable, lambda: journal.append([make_event(0, id="b")])):
        with pytest.raises(JournalError) as caught:
            ask()
        assert reason_of(caught) == "replaced"
    with Journal(path) as new:
        assert new.last_seq() == 0


def test_reads_in_one_transaction_see_one_state(journal: Journal, path: Path) -> None:
    journal.append([make_event(0, id="a")])
    with Journal(path) as other, journal.read_transaction():
        assert len(journal.read_after(0)) == 1
        other.append([make_event(0, id="b")])
        assert len(journal.read_after(0)) == 1
    assert len(journal.read_after(0)) == 2

"""A journal opens at its first use, and again after a failure."""

from pathlib import Path

import pytest

from common.errors import JournalError
from common.journal.connection import READ_CACHE_KB, WRITE_CACHE_KB
from common.journal.store import Journal
from tests.conftest import append, make_trade


def test_a_journal_opens_at_its_first_use_and_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    assert not path.exists()
    append(journal, [make_trade()])
    assert (journal.last_seq(), journal.times_opened) == (1, 1)
    journal.close()


def test_after_a_failure_the_next_call_opens_the_repaired_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    path.write_bytes(b"garbage" * 100)
    with pytest.raises(JournalError):
        journal.last_seq()
    path.unlink()
    assert journal.last_seq() == 0
    journal.close()
    journal.close()
    assert journal.last_seq() == 0
    assert journal.times_opened == 2
    journal.close()


def test_another_journal_in_its_place_is_rejected_once_and_then_opened(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal(path) as journal:
        append(journal, [make_trade()])
        was = journal.journal_id, journal.key_pair
        for file in tmp_path.iterdir():
            file.unlink()
        with pytest.raises(JournalError) as caught:
            append(journal, [make_trade()])
        assert caught.value.reason == "replaced"
        assert journal.last_seq() == 0
        assert (journal.journal_id, journal.key_pair) != was


def test_a_read_that_fails_in_a_transaction_gives_its_reason_and_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal(path) as journal:
        append(journal, [make_trade()])
        with journal.read_transaction():
            path.rename(tmp_path / "moved")
            with pytest.raises(JournalError) as caught:
                journal.last_seq()
        assert caught.value.reason == "replaced"
        (tmp_path / "moved").rename(path)
        with journal.read_transaction():
            assert journal.last_seq() == 1


def test_a_connection_keeps_few_pages_until_it_writes(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal(path) as journal, Journal(path) as reader:
        assert journal.query("PRAGMA cache_size") == [(-READ_CACHE_KB,)]
        append(journal, [make_trade()])
        assert journal.query("PRAGMA cache_size") == [(-WRITE_CACHE_KB,)]
        journal.close()
        assert journal.query("PRAGMA cache_size") == [(-WRITE_CACHE_KB,)]
        assert reader.last_seq() == 1
        assert reader.query("PRAGMA cache_size") == [(-READ_CACHE_KB,)]

"""The write-ahead log is begun again when it is long, however busy the journal is."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from common.journal import wal
from common.journal.file import Database, begin_writing
from common.journal.store import Journal
from tests.conftest import append, make_trade

LIMIT = 1024 * 1024
COMMITS = 120
"""Of a hundred trades each: several times the limit."""


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    monkeypatch.setattr(wal, "WAL_BYTES", LIMIT)
    monkeypatch.setattr(wal, "WAIT_SECONDS", 0.01)
    with Journal(tmp_path / "journal.db") as journal:
        yield journal


@pytest.fixture
def reader(journal: Journal) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as connection:
        yield connection


def commit_while_it_is_read(journal: Journal, reader: sqlite3.Connection) -> list[int]:
    """Commit trades while there is always a reader, and return the sizes of the log: SQLite never begins it again."""
    sizes = []
    for _ in range(COMMITS):
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM trades").fetchone()
        append(journal, [make_trade()] * 100)
        if reader.in_transaction:
            reader.execute("ROLLBACK")
        sizes.append(journal.path.with_name("journal.db-wal").stat().st_size)
    return sizes


def test_a_long_log_is_begun_again_once_no_reader_needs_it(
    journal: Journal, reader: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin_after_the_reader(db: Database, busy_seconds: float) -> None:
        if reader.in_transaction:
            reader.execute("ROLLBACK")
        begin_writing(db, busy_seconds)

    monkeypatch.setattr(wal, "begin_writing", begin_after_the_reader)
    sizes = commit_while_it_is_read(journal, reader)
    assert LIMIT < max(sizes) < 1.5 * LIMIT
    assert min(sizes[sizes.index(max(sizes)) :]) == LIMIT
    assert journal.count_after(0) == 100 * COMMITS


def test_readers_that_stay_keep_the_log_and_it_is_tried_again_when_it_has_grown(
    journal: Journal, reader: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def note(db: Database, busy_seconds: float) -> None:
        tried.append(journal.path.with_name("journal.db-wal").stat().st_size)
        begin_writing(db, busy_seconds)

    monkeypatch.setattr(wal, "begin_writing", note)
    sizes = commit_while_it_is_read(journal, reader)
    assert max(sizes) > 3 * LIMIT
    assert len(tried) > 1
    assert all(later > earlier + earlier // 4 for earlier, later in pairwise(tried))
    assert journal.count_after(0) == 100 * COMMITS
    # SQLite has begun it again by itself: what was tried before no longer matters.
    for _ in range(3):
        append(journal, [make_trade()])
    tried.clear()
    commit_while_it_is_read(journal, reader)
    assert LIMIT < tried[0] < 1.5 * LIMIT
    # As before: a commit waits for another writer as long as the journal was told.
    assert journal.query("PRAGMA busy_timeout") == [(2000,)]


def test_trades_are_accepted_when_the_log_cannot_be_copied(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise sqlite3.OperationalError

    monkeypatch.setattr(wal, "WAL_BYTES", 0)
    monkeypatch.setattr(wal, "begin_writing", fail)
    journal.close()
    assert len(append(journal, [make_trade()])) == 1
    assert journal.count_after(0) == 1

"""A journal of version 1, made with that version's own statements, opened by this program."""

import contextlib
import fcntl
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from common.errors import JournalError
from common.journal import migrations
from common.journal.holders import find_holders
from common.journal.opening import back_up, restore
from common.journal.schema import list_statements
from common.journal.store import Journal
from tests.conftest import AT, append, make_trade
from tests.waiting import wait_for

VERSION_1 = """
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA application_id = 0x54415045;
PRAGMA user_version = 1;
CREATE TABLE journal (origin TEXT NOT NULL, base BLOB, room BLOB);
CREATE TABLE trades (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    accepted_at TEXT NOT NULL,
    ts TEXT NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    price TEXT NOT NULL,
    qty TEXT NOT NULL
);
CREATE INDEX trades_symbol ON trades (symbol);
CREATE TABLE keys (
    client TEXT NOT NULL,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    seq INTEGER NOT NULL,
    used_at TEXT NOT NULL,
    PRIMARY KEY (client, name)
) WITHOUT ROWID;
CREATE INDEX keys_used_at ON keys (used_at);
CREATE TABLE facts (worker TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
INSERT INTO journal (origin, base) VALUES ('0123456789abcdef0123456789abcdef', '{"last_seq": 1, "symbols": {}}');
INSERT INTO trades VALUES (2, '01a20884-7740-700f-bca1-01eafb72f265', '2026-01-31T09:30:00.000000Z',
    '2026-01-30T09:30:00.000000Z', 'BTCUSDT', 'BUY', '100.50', '2');
"""
ID = "01a20884-7740-700f-bca1-01eafb72f265"


def make_version_1(path: Path, extra: str = "") -> Path:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1 + extra)
    return path


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return make_version_1(tmp_path / "journal.db")


def columns(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        return {name: db.execute(f"PRAGMA table_xinfo({name})").fetchall() for name in tables}


def test_a_journal_of_version_1_keeps_its_id_and_trades_and_gets_the_schema_of_a_new_one(
    old: Path, tmp_path: Path
) -> None:
    with Journal(old) as journal, Journal(tmp_path / "new.db") as new:
        assert journal.journal_id == "0123456789abcdef0123456789abcdef"
        assert [(event.seq, event.id, event.price) for event in journal.read_after(0)] == [(2, ID, "100.50")]
        assert append(journal, [make_trade()])[0].seq == 3
        assert [journal.find(event.id) for event in journal.read_after(0)] == journal.read_after(0)
        assert journal.query("SELECT pruned_seq FROM journal") == [(1,)]
        assert journal.query("SELECT source, ref, fee FROM trades") == [("", None, None)] * 2
        assert [event.ts for event in journal.read_after(0)] == ["2026-01-30T09:30:00.000000Z", AT]
        assert new.query("PRAGMA user_version") == journal.query("PRAGMA user_version") == [(3,)]
    assert columns(old) == columns(tmp_path / "new.db")


def test_columns_that_journals_have_are_not_renamed(tmp_path: Path) -> None:
    Journal(tmp_path / "new.db").open().close()
    assert [column[1] for column in columns(tmp_path / "new.db")["journal"]] == [
        "origin",
        "base",
        "room",
        "public_key",
        "secret_key",
        "pruned_seq",
    ]


def test_every_journal_has_a_key_pair_of_its_own_and_keeps_it(old: Path, tmp_path: Path) -> None:
    with Journal(old) as migrated, Journal(tmp_path / "new.db") as new:
        pairs = [migrated.key_pair, new.key_pair]
        back_up(new.path, tmp_path / "copy.db")
    with Journal(old) as migrated:
        assert migrated.key_pair == pairs[0]
    restore(tmp_path / "copy.db", tmp_path / "restored.db")
    with Journal(tmp_path / "restored.db") as restored:
        pairs.append(restored.key_pair)
    assert len({pair.secret for pair in pairs}) == 3
    assert len({pair.public for pair in pairs}) == 3
    assert all(len(pair.public) == len(pair.secret) == 40 for pair in pairs)
    assert not any(pair.secret in f"{pair} {pair!r}" for pair in pairs)


def test_a_copy_of_version_1_is_restored_as_the_new_version_and_left_as_it_is(old: Path, tmp_path: Path) -> None:
    restore(old, tmp_path / "restored.db")
    with Journal(tmp_path / "restored.db") as journal:
        assert journal.last_seq() == 2
        assert journal.journal_id != "0123456789abcdef0123456789abcdef"
        assert len(journal.key_pair.secret) == 40
    with contextlib.closing(sqlite3.connect(old)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_journal_of_version_1_is_backed_up_as_it_is_while_its_program_runs(
    old: Path, holder: int, tmp_path: Path
) -> None:
    assert back_up(old, tmp_path / "copy.db") == 2
    assert [each.pid for each in find_holders(old)] == [holder]
    for path in (old, tmp_path / "copy.db"):
        with contextlib.closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (1,)


def test_waiting_for_another_migration_times_out(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "FOLDER_SECONDS", 0.05)
    folder = os.open(old.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with pytest.raises(JournalError) as caught:
        Journal(old).open()
    os.close(folder)
    assert caught.value.reason == "locked"
    Journal(old).open().close()


@pytest.mark.parametrize("checkpoint", ["NULL", "'{}'", "'no JSON'", "x'ff00'"])
def test_a_checkpoint_without_a_seq_does_not_stop_the_migration(tmp_path: Path, checkpoint: str) -> None:
    path = make_version_1(tmp_path / "odd.db", f"UPDATE journal SET base = {checkpoint};")
    with Journal(path) as journal:
        assert journal.query("SELECT pruned_seq FROM journal") == [(0,)]


@pytest.fixture
def holder(old: Path) -> Iterator[int]:
    """A process that has the journal open, as a program of version 1 would."""
    work = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('SELECT * FROM trades').fetchall();"
        " print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", work, str(old)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        yield process.pid
        process.kill()


def test_an_earlier_program_that_has_the_journal_open_is_named_and_nothing_is_changed(old: Path, holder: int) -> None:
    with pytest.raises(JournalError) as caught:
        Journal(old).open()
    assert caught.value.reason == "in_use"
    assert f"process {holder} ({sys.executable} -c import sqlite3" in caught.value.detail
    assert "\n" not in caught.value.detail
    os.kill(holder, signal.SIGKILL)
    wait_for(lambda: not find_holders(old), "it has ended")
    with Journal(old) as journal:
        assert journal.last_seq() == 2


def _open_and_append(path: Path, barrier: Barrier) -> None:
    barrier.wait(120)
    with Journal(path, busy_seconds=20) as journal:
        append(journal, [make_trade()])


def test_processes_that_start_together_on_a_journal_of_version_1_migrate_it_once(old: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(4)
    starters = [spawn.Process(target=_open_and_append, args=(old, barrier)) for n in range(4)]
    for each in starters:
        each.start()
    for each in starters:
        each.join(180)
        assert each.exitcode == 0
    with Journal(old) as journal:
        assert [event.seq for event in journal.read_after(0)] == [2, 3, 4, 5, 6]


def test_an_interrupted_migration_leaves_version_1(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "common.journal.migrations.list_statements", lambda version: [*list_statements(version), "no SQL"]
    )
    with pytest.raises(JournalError):
        Journal(old).open()
    monkeypatch.undo()
    with contextlib.closing(sqlite3.connect(old)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert "tokens" not in {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    with Journal(old) as journal:
        assert journal.last_seq() == 2

"""Files of the journal that are removed or replaced while processes have it open: real files, real processes."""

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import JournalError
from common.journal import rows
from common.journal.connection import Latch
from common.journal.store import Journal
from tests.conftest import AT, ROOT, append, make_trade
from tests.waiting import wait_for

ENDINGS = ("", "-wal", "-shm")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def count_alone(path: Path, tmp_path: Path) -> int:
    """Count the trades of the journal's file alone, as if every process had been killed now."""
    copy = tmp_path / "alone.db"
    # In another process: closing a second descriptor in this one would release SQLite's locks.
    subprocess.run(["cp", str(path), str(copy)], check=True)
    with contextlib.closing(sqlite3.connect(copy)) as db:
        count: int = db.execute("SELECT count(*) FROM trades").fetchone()[0]
    copy.unlink()
    return count


@pytest.mark.parametrize("lost", [["-wal"], ["-shm"], ["-wal", "-shm"]], ids=str)
def test_without_its_log_a_journal_saves_what_it_holds_and_takes_nothing_more(
    path: Path, tmp_path: Path, lost: list[str]
) -> None:
    with Journal(path, latch=Latch()) as journal, Journal(path, latch=Latch()) as other:
        for number in range(16):
            append(journal if number % 2 else other, [make_trade()])
        assert count_alone(path, tmp_path) == 0
        for ending in lost:
            Path(f"{path}{ending}").unlink()
        asks = (
            lambda: append(journal, [make_trade()]),
            other.check_writable,
            lambda: other.read_after(0),
            journal.pruned_seq,
        )
        for ask in asks:
            with pytest.raises(JournalError) as caught:
                ask()
            assert caught.value.reason == "replaced"
            assert lost[0] in caught.value.detail
            assert count_alone(path, tmp_path) == 16
    with Journal(path) as again:
        assert again.last_seq() == len(again.read_after(0)) == 16


def test_a_log_that_was_replaced_by_another_file_is_detected(path: Path, tmp_path: Path) -> None:
    with Journal(path) as journal:
        append(journal, [make_trade()])
        Path(f"{path}-wal").unlink()
        Path(f"{path}-wal").touch()
        with pytest.raises(JournalError) as caught:
            append(journal, [make_trade()])
        assert caught.value.reason == "replaced"
        assert count_alone(path, tmp_path) == 1


def test_a_trade_is_saved_when_the_log_is_removed_during_its_commit(path: Path, tmp_path: Path) -> None:
    with Journal(path) as journal:
        with journal._connection.writing() as opened:  # noqa: SLF001 - there is no other way into a commit
            rows.insert(opened.db, opened.journal_id, [([make_trade()], AT)])
            Path(f"{path}-wal").unlink()
        assert count_alone(path, tmp_path) == 1
        with pytest.raises(JournalError, match="-wal"):
            journal.last_seq()


def test_a_commit_whose_journal_is_removed_meanwhile_is_not_accepted(path: Path) -> None:
    with Journal(path) as journal, pytest.raises(JournalError) as caught, journal._connection.writing():  # noqa: SLF001
        path.unlink()
    assert caught.value.reason == "replaced"


def test_a_journal_that_was_written_over_in_place_is_noticed(path: Path, tmp_path: Path) -> None:
    with Journal(tmp_path / "other.db") as other:
        kept = append(other, [make_trade()])
    with Journal(path) as journal:
        with (
            contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as source,
            contextlib.closing(sqlite3.connect(path)) as target,
        ):
            source.backup(target)
        with pytest.raises(JournalError) as caught:
            append(journal, [make_trade()])
        assert caught.value.reason == "replaced"
    with Journal(path) as again:
        assert again.read_after(0) == kept


HOLDER = """
import sys
from pathlib import Path
from common.journal.store import Journal
from tests.conftest import append, make_trade
with Journal(Path(sys.argv[1])) as journal:
    append(journal, [make_trade() for number in range(5)])
    print("open", flush=True)
    sys.stdin.readline()
    try:
        journal.last_seq()
    except Exception as error:
        print(error.reason, flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("lost", [["-wal"], ["-shm"], ["-wal", "-shm"]], ids=str)
def test_a_process_that_comes_later_does_not_begin_a_second_log(path: Path, lost: list[str]) -> None:
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "open\n"
        for ending in lost:
            Path(f"{path}{ending}").unlink()
        with pytest.raises(JournalError) as caught:
            Journal(path).open()
        assert caught.value.reason == "replaced"
        assert f"process {process.pid} (" in caught.value.detail
        process.stdin.write("go on\n")
        assert process.stdout.readline() == "replaced\n"
        process.kill()
    with Journal(path) as journal:
        assert [event.seq for event in journal.read_after(0)] == [1, 2, 3, 4, 5]


def test_empty_log_files_left_by_a_crash_do_not_prevent_opening(path: Path) -> None:
    Journal(path).open().close()
    for ending in ("-wal", "-shm"):
        Path(f"{path}{ending}").touch()
        Journal(path).open().close()


def test_logs_that_sqlite_creates_and_removes_are_not_reported_as_replaced(path: Path) -> None:
    with Journal(path) as journal:
        for number in range(3):
            Journal(path).open().close()
            with Journal(path) as other:
                append(other, [make_trade()])
            append(journal, [make_trade()])
            with contextlib.closing(sqlite3.connect(path)) as shell:
                shell.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            assert journal.last_seq() == 2 * number + 2
    assert not Path(f"{path}-wal").exists()
    with Journal(path) as journal:
        assert journal.last_seq() == 6


def test_every_connection_of_a_latch_stays_closed_after_a_failure_that_only_a_restart_clears(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    latch = Latch()
    caplog.set_level("ERROR")
    writer, reader = (Journal(path, latch=latch) for _ in range(2))
    free = Journal(path)
    append(writer, [make_trade()])
    assert reader.last_seq() == free.last_seq() == 1
    moved = [Path(f"{path}{ending}").rename(f"{path}.old{ending}") for ending in ENDINGS]
    with pytest.raises(JournalError):
        reader.last_seq()
    for old in moved:
        old.rename(str(old).replace(".old", ""))
    for journal in (writer, reader):
        with pytest.raises(JournalError) as caught:
            journal.last_seq()
        assert caught.value.reason == "replaced"
    assert [record.message for record in caplog.records] == ["journal given up until a restart"]
    assert free.last_seq() == 1
    free.close()
    wait_for(lambda: not [fd for fd in Path("/proc/self/fd").iterdir() if _points_to(fd, path)], "all are closed")


def _points_to(descriptor: Path, path: Path) -> bool:
    with contextlib.suppress(OSError):
        return str(descriptor.readlink()).startswith(str(path))
    return False


def test_a_corrupt_journal_takes_nothing_until_a_restart(path: Path) -> None:
    latch = Latch()
    writer, reader = (Journal(path, latch=latch) for _ in range(2))
    append(writer, [make_trade() for number in range(1000)])
    writer.query("PRAGMA wal_checkpoint(TRUNCATE)")
    spoil = ["dd", "if=/dev/urandom", f"of={path}", "bs=4096", "seek=20", "count=20", "conv=notrunc", "status=none"]
    subprocess.run(spoil, check=True)
    with pytest.raises(JournalError) as caught:
        reader.query("SELECT max(length(id || symbol)) FROM trades")
    assert caught.value.reason == "corrupt"
    with pytest.raises(JournalError) as caught:
        writer.check_writable()
    assert caught.value.reason == "corrupt"


def test_a_temporary_failure_does_not_close_the_latch(path: Path) -> None:
    path.mkdir()
    journal = Journal(path, latch=Latch())
    with pytest.raises(JournalError):
        journal.last_seq()
    path.rmdir()
    assert journal.last_seq() == 0
    journal.close()

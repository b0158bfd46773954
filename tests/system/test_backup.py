"""Backup and restore of the journal, with the commands of docs/operations.md."""

from pathlib import Path

import pytest

from common.journal.store import Journal
from tests.system.stack import Stack


def read_audit(stack: Stack) -> str:
    done = stack.run_cli("audit")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


def test_a_backup_made_under_load_is_restored_and_counted_again(cold: Stack, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    cold.start().accept(50)
    with cold.under_trades(rate=200):
        done = cold.run_cli("backup", str(copy))
    assert done.returncode == 0, done.stderr
    with Journal(copy) as saved:
        kept = saved.last_seq()
    assert f"up to seq {kept}" in done.stdout
    assert kept >= 50
    cold.accept(10)
    cold.stop()

    rejected = cold.run_cli("restore", str(copy))
    assert rejected.returncode == 1
    assert "would be overwritten" in rejected.stderr
    path = Path(cold.settings["JOURNAL_PATH"])
    for each in path.parent.glob(f"{path.name}*"):
        each.rename(tmp_path / f"old-{each.name}")
    assert cold.run_cli("restore", str(copy)).returncode == 0

    cold.start("web").accept(3)
    cold.start("sidecar")
    cold.wait_counted(kept + 3)
    assert f"accepted {kept + 3} = counted {kept + 3} + in flight 0: the balance closes" in read_audit(cold)


def test_a_backup_does_not_overwrite_and_a_restore_rejects_other_files(cold: Stack, tmp_path: Path) -> None:
    none = cold.run_cli("backup", str(tmp_path / "copy.db"))
    assert none.returncode == 1
    assert "there is no journal" in none.stderr
    Journal(Path(cold.settings["JOURNAL_PATH"])).open().close()
    (tmp_path / "taken").write_text("mine")
    assert "File exists" in cold.run_cli("backup", str(tmp_path / "taken")).stderr
    assert (tmp_path / "taken").read_text() == "mine"
    Path(cold.settings["JOURNAL_PATH"]).unlink()
    assert "not a database" in cold.run_cli("restore", str(tmp_path / "taken")).stderr
    assert "there is no journal" in cold.run_cli("restore", str(tmp_path / "nothing")).stderr
    assert not Path(cold.settings["JOURNAL_PATH"]).exists()


@pytest.mark.parametrize("command", ["backup", "restore"])
@pytest.mark.parametrize("name", ["", ".", "..", "/", "copies/", "/dev/null"])
def test_a_path_that_is_no_file_is_reported_in_one_line(cold: Stack, command: str, name: str) -> None:
    path = Path(cold.settings["JOURNAL_PATH"])
    if command == "backup":
        Journal(path).open().close()
    done = cold.run_cli(command, name)
    assert done.returncode == 1
    assert done.stderr == f'Error: FILE is "{name}"; expected the path of a file, not of a folder or a device\n'
    assert path.exists() == (command == "backup")

"""``backup`` without a file: into BACKUP_FOLDER, named by the time, where the newest ones stay."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from common.backups import list_backups, read_newest
from common.journal.store import Journal
from common.settings import Settings
from tests.conftest import BUY, append
from webapp import create_app
from webapp.cli import backup as module


@pytest.fixture
def folder(settings: Settings) -> Path:
    with Journal(settings.journal_path) as journal:
        append(journal, [BUY, BUY])
    return settings.journal_path.parent / "backups" / "daily"


def back_up(settings: Settings, folder: Path, day: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    app = create_app(Settings(**{**vars(settings), "backup_folder": folder, "backup_keep": 2}))
    monkeypatch.setattr(module, "now", lambda: datetime(2026, 11, day, 2, 0, tzinfo=UTC))
    done = app.test_cli_runner().invoke(args=["trades", "backup"])
    return done.exit_code, done.output


def test_the_newest_backups_stay_and_other_files_are_left_alone(
    settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_newest(folder) == 0
    assert back_up(settings, folder, 1, monkeypatch)[0] == 0
    (folder / "before-upgrade.db").touch()
    for day in (2, 3):
        assert back_up(settings, folder, day, monkeypatch)[0] == 0
    names = ["journal-20261102T020000Z.db", "journal-20261103T020000Z.db"]
    assert sorted(path.name for path in folder.iterdir()) == ["before-upgrade.db", *names]
    assert [each.path.name for each in list_backups(folder)] == names
    assert read_newest(folder) == datetime(2026, 11, 3, 2, 0, tzinfo=UTC).timestamp()
    assert folder.stat().st_mode & 0o777 == 0o700
    for each in list_backups(folder):
        assert each.path.stat().st_mode & 0o777 == 0o600
        with Journal(each.path) as saved:
            assert saved.last_seq() == 2


def test_a_backup_that_fails_deletes_none(settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in (1, 2):
        back_up(settings, folder, day, monkeypatch)
    code, printed = back_up(settings, folder, 2, monkeypatch)
    assert (code, "File exists" in printed) == (1, True)
    settings.journal_path.unlink()
    code, printed = back_up(settings, folder, 3, monkeypatch)
    assert (code, "there is no journal" in printed) == (1, True)
    assert len(list_backups(folder)) == 2


def test_without_a_folder_a_file_is_named(settings: Settings) -> None:
    done = create_app(settings).test_cli_runner().invoke(args=["trades", "backup"])
    assert (done.exit_code, done.output) == (1, "Error: there is no FILE; name one, or set BACKUP_FOLDER\n")


def test_a_folder_that_cannot_be_read_has_no_newest_backup(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert read_newest(tmp_path / "file") == 0

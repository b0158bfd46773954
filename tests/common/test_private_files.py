"""Permissions of the product's files, and symbolic links in their place."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import JournalError, SnapshotError
from common.journal.opening import back_up, restore
from common.journal.store import Journal
from sidecar.snapshot import load_snapshot, write_snapshot
from sidecar.state import State
from tests.common.journal.test_migrations import make_version_1
from tests.conftest import ROOT, append, make_trade
from tests.docs.test_make import make


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.lstat().st_mode) for each in folder.iterdir()}


def test_a_journal_its_log_its_copies_and_its_drafts_are_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = os.link

    def link(source: Path, target: Path) -> None:
        seen.append(stat.S_IMODE(Path(source).stat().st_mode))
        real(source, target)

    monkeypatch.setattr(os, "link", link)
    path = tmp_path / "journal.db"
    with Journal(path) as journal:
        append(journal, [make_trade()])
        back_up(path, tmp_path / "copy.db")
        restore(tmp_path / "copy.db", tmp_path / "restored.db")
        found = modes(tmp_path)
    assert {"journal.db", "journal.db-wal", "journal.db-shm", "copy.db", "restored.db"} <= found.keys()
    assert set(found.values()) == {0o600}
    assert seen == [0o600] * 3


def test_opening_makes_the_files_of_version_1_private(tmp_path: Path) -> None:
    path = make_version_1(tmp_path / "journal.db")
    for ending in ("", "-wal", "-shm"):
        Path(f"{path}{ending}").touch()
        Path(f"{path}{ending}").chmod(0o664)
    with Journal(path):
        assert set(modes(tmp_path).values()) == {0o600}


def test_a_snapshot_and_the_previous_one_are_private(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    for _ in range(2):
        write_snapshot(path, b"{}")
    assert modes(tmp_path) == {"snapshot": 0o600, "snapshot.previous": 0o600}
    path.chmod(0o644)
    with pytest.raises(SnapshotError):
        load_snapshot(path, State("o"), 0)
    assert modes(tmp_path)["snapshot"] == 0o600


@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
@pytest.mark.parametrize("target", ["victim", "nothing"])
def test_a_journal_is_not_written_through_a_link(tmp_path: Path, ending: str, target: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    path = tmp_path / "journal.db"
    if ending:
        Journal(path).open().close()
    Path(f"{path}{ending}").symlink_to(tmp_path / target)
    with pytest.raises(JournalError) as caught:
        Journal(path).open()
    assert caught.value.reason == "symlink"
    assert f"{path}{ending} is a symbolic link; expected the file itself" in caught.value.detail
    with pytest.raises(JournalError):
        back_up(path, tmp_path / "copy.db")
    assert victim.read_text() == "mine"
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("target", ["victim", "nothing"])
def test_a_copy_is_not_written_through_a_link(tmp_path: Path, target: str) -> None:
    victim, path, link = tmp_path / "victim", tmp_path / "journal.db", tmp_path / "link"
    victim.write_text("mine")
    Journal(path).open().close()
    link.symlink_to(tmp_path / target)
    for write in (lambda: back_up(path, link), lambda: restore(path, link)):
        with pytest.raises(JournalError, match="File exists"):
            write()
    assert victim.read_text() == "mine"
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("name", ["snapshot", "snapshot.new", "snapshot.previous"])
def test_a_snapshot_is_not_written_through_a_link(tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / name).symlink_to(victim)
    for _ in range(3):
        write_snapshot(tmp_path / "snapshot", b"{}")
    assert victim.read_text() == "mine"
    assert not (tmp_path / "snapshot").is_symlink()


def test_a_snapshot_is_not_read_through_a_link(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "other", b"{}")
    (tmp_path / "snapshot").symlink_to(tmp_path / "other")
    with pytest.raises(SnapshotError, match="is a symbolic link; expected the file itself") as caught:
        load_snapshot(tmp_path / "snapshot", State("o"), 0)
    assert caught.value.reason == "symlink"


def copy_makefile(folder: Path) -> None:
    for name in ("Makefile", ".env.sample", "requirements-dev.txt"):
        (folder / name).write_text((ROOT / name).read_text())
    bin_folder = folder / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "python").symlink_to(sys.executable)
    (folder / ".venv" / "synced").touch()


def test_env_is_private_when_new_and_when_it_exists(tmp_path: Path) -> None:
    copy_makefile(tmp_path)
    make("env-setup", folder=tmp_path)
    assert modes(tmp_path)[".env"] == 0o600
    secret = (tmp_path / ".env").read_text()
    (tmp_path / ".env").chmod(0o644)
    make("env-setup", folder=tmp_path)
    assert modes(tmp_path)[".env"] == 0o600
    assert (tmp_path / ".env").read_text() == secret


def test_env_is_not_written_through_a_link(tmp_path: Path) -> None:
    copy_makefile(tmp_path)
    (tmp_path / ".env").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(subprocess.CalledProcessError):
        make("env-setup", folder=tmp_path)
    assert not (tmp_path / "elsewhere").exists()

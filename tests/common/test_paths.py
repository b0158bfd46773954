import os
from pathlib import Path

import pytest

from common.errors import BadSettingError
from common.paths import find_clash
from common.settings import Settings


def read(folder: Path, journal: str, snapshot: str, address: str = "tcp://127.0.0.1:5555") -> Settings:
    paths = {"JOURNAL_PATH": str(folder / journal), "SNAPSHOT_PATH": str(folder / snapshot)}
    return Settings.from_env(paths | {"WEBAPP_ZMQ_ADDR": address})


@pytest.mark.parametrize(
    ("journal", "snapshot"),
    [
        ("a", "a"),
        ("a", "b/../a"),
        ("a", "./a"),
        ("a", "a-wal"),
        ("a", "a-shm"),
        ("a", "a.lock"),
        ("a.previous", "a"),
        ("a.new", "a"),
        ("a.torn", "a"),
        ("a.content", "a"),
        ("a.lock", "a"),
        ("a", "link"),
        ("link", "a"),
        ("a", "wal-link"),
        ("a", "folder-link/a"),
        ("a", "hard"),
        ("hard", "a"),
    ],
)
def test_a_snapshot_path_that_uses_a_file_of_the_journal_is_rejected(
    tmp_path: Path, journal: str, snapshot: str
) -> None:
    (tmp_path / "a").write_text("trades")
    (tmp_path / "b").mkdir()
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "wal-link").symlink_to("a-wal")
    (tmp_path / "folder-link").symlink_to(tmp_path)
    os.link(tmp_path / "a", tmp_path / "hard")
    with pytest.raises(BadSettingError, match=r"SNAPSHOT_PATH is .*; expected .* JOURNAL_PATH"):
        read(tmp_path, journal, snapshot)


def test_a_relative_and_an_absolute_path_of_one_file_clash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_clash(Path("var/a"), tmp_path / "var" / "a") is not None
    with pytest.raises(BadSettingError, match="SNAPSHOT_PATH"):
        Settings.from_env({"SNAPSHOT_PATH": "var/journal.db"})
    with pytest.raises(BadSettingError, match="SNAPSHOT_PATH"):
        Settings.from_env({"JOURNAL_PATH": "var/sidecar.snapshot.previous"})


def test_different_files_with_similar_names_are_allowed(tmp_path: Path) -> None:
    for journal, snapshot in (("a", "a.snapshot"), ("a.db", "a"), ("a", "b/a"), ("trades-wal.db", "trades")):
        assert read(tmp_path, journal, snapshot).snapshot_path == tmp_path / snapshot


def test_a_socket_at_the_path_of_either_file_is_rejected(tmp_path: Path) -> None:
    for name in ("a", "a-wal", "b", "b.previous"):
        with pytest.raises(BadSettingError, match=r"WEBAPP_ZMQ_ADDR is .*; expected a socket"):
            read(tmp_path, "a", "b", f"ipc://{tmp_path}/{name}")
    assert read(tmp_path, "a", "b", f"ipc://{tmp_path}/hints")


@pytest.mark.parametrize("name", ["JOURNAL_PATH", "SNAPSHOT_PATH"])
@pytest.mark.parametrize(
    "value", ["/", ".", "..", "", " ", "var/", "{}", "{}/", "/dev/null", "{}/loop", "x" * 5000, "a\0b"]
)
def test_a_path_that_cannot_be_a_file_is_rejected_by_name(tmp_path: Path, name: str, value: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(BadSettingError, match=f"^{name} is .*; expected the path of a file"):
        Settings.from_env({name: value.replace("{}", str(tmp_path))})

"""What is known of Litestream's copy: up to when it has the journal, and whether it lacks something for too long."""

import os
from pathlib import Path

import pytest

from common.replica import ReplicaTimes, find_folder, read_times


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("file:///mnt/other/trades", Path("/mnt/other/trades")),
        ("file:///mnt/my%20disk", Path("/mnt/my disk")),
        ("s3://bucket/trades", None),
        ("", None),
    ],
)
def test_only_a_copy_on_a_disk_can_be_seen(url: str, folder: Path | None) -> None:
    assert find_folder(url) == folder


def write(path: Path, at: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (at, at))


def test_the_newest_file_of_any_level_says_up_to_when(tmp_path: Path) -> None:
    journal, copy = tmp_path / "journal.db", tmp_path / "copy"
    assert read_times(journal, copy) == (0, 0)
    write(journal, 100)
    assert read_times(journal, copy) == (100, 0)
    write(tmp_path / "journal.db-wal", 300)
    write(copy / "ltx" / "9" / "0000000000000001-0000000000000001.ltx", 50)
    write(copy / "ltx" / "0" / "000000000000000a-000000000000000a.ltx", 290)
    write(copy / "ltx" / "0" / "0000000000000009-0000000000000009.ltx", 280)
    (copy / "ltx" / "1").mkdir()
    assert read_times(journal, copy) == (300, 290)
    write(copy / "ltx" / "1" / "0000000000000001-000000000000000b.ltx", 300)
    assert read_times(journal, copy) == (300, 300)


@pytest.mark.parametrize(
    ("written", "copied", "now", "is_behind"),
    [
        (100, 99, 161, True),
        (100, 0, 161, True),
        (100, 99, 150, False),
        (100, 100, 9_000, False),
        (100.1225, 100.122, 9_000, False),
        (0, 0, 9_000, False),
    ],
)
def test_it_is_behind_when_it_is_old_and_lacks_something(
    written: float, copied: float, now: float, *, is_behind: bool
) -> None:
    assert ReplicaTimes(written, copied).is_behind(now) is is_behind

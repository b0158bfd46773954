import shutil
from pathlib import Path

from common.journal.disk import measure_disk
from common.journal.store import Journal
from tests.conftest import append, make_trade


def test_the_space_of_a_journal_is_that_of_its_file_and_its_log(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal(path) as journal:
        append(journal, [make_trade()])
        measured = measure_disk(path)
        assert measured.used == sum(Path(f"{path}{ending}").stat().st_size for ending in ("", "-wal"))
    assert measure_disk(path).used == path.stat().st_size > 0
    total, _, free = shutil.disk_usage(tmp_path)
    assert measured.total == total
    # Other programs write to this disk too.
    assert 0 < measured.free <= total
    assert abs(measured.free - free) < total / 10


def test_a_missing_journal_uses_nothing(tmp_path: Path) -> None:
    assert measure_disk(tmp_path / "journal.db").used == 0

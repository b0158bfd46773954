"""An earlier program is replaced by this one while trades arrive, and is put back (docs/operations.md)."""

import io
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.journal.store import Journal
from tests.conftest import ROOT, require_program
from tests.system.load import Load
from tests.system.stack import Stack

RELEASE_0_1_0 = "6736e27"
"""The last commit of the program that wrote ``tests/data/0.1.0``."""


def check_out(commit: str, folder: Path) -> Path:
    """Write the files of a commit into a folder, with the virtual environment of this checkout."""
    git = require_program("git")
    shallow = [git, "rev-parse", "--is-shallow-repository"]
    if subprocess.run(shallow, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "true":
        pytest.skip("this clone has no earlier commits")
    archive = subprocess.run([git, "archive", "--format=zip", commit], cwd=ROOT, capture_output=True, check=True)
    with zipfile.ZipFile(io.BytesIO(archive.stdout)) as files:
        # Without its tests, which hold the secrets that the end of a run searches for.
        files.extractall(folder, [name for name in files.namelist() if not name.startswith("tests/")])
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path) as stack:
        yield stack


def stop(stack: Stack) -> None:
    stack.stop(seconds=30)
    stack.renew()


def read_ids(stack: Stack) -> list[str]:
    with Journal(Path(stack.settings["JOURNAL_PATH"])) as journal:
        return [event.id for event in journal.read_after(0, 1_000_000)]


@pytest.mark.parametrize("commit", [RELEASE_0_1_0, "HEAD~1"], ids=["0.1.0", "previous commit"])
def test_an_upgrade_under_load_loses_nothing_and_no_counter_falls(stack: Stack, tmp_path: Path, commit: str) -> None:
    earlier = check_out(commit, tmp_path / "earlier")
    stack.root = earlier
    stack.start()
    with Load(stack) as load:
        load.wait_more(20)
        backup = stack.run_cli("backup", str(tmp_path / "before-upgrade.db"))
        assert backup.returncode == 0, backup.stderr
        load.wait_more(5)
        stop(stack)
        stack.root = ROOT
        stack.start()
        load.wait_more(20)
    accepted = load.accepted
    stack.wait_counted(len(accepted), 60)
    # Each is in the journal once, and nothing else is.
    assert sorted(read_ids(stack)) == sorted(accepted.values())
    assert load.scrapes > 0
    assert load.fell == []
    stop(stack)

    # Back: the files are moved away, and the earlier program restores its own backup.
    away = tmp_path / "away"
    away.mkdir()
    for path in [*tmp_path.glob("journal.db*"), *tmp_path.glob("snapshot*")]:
        path.rename(away / path.name)
    stack.root = earlier
    restored = stack.run_cli("restore", str(tmp_path / "before-upgrade.db"))
    assert restored.returncode == 0, restored.stderr
    stack.start()
    kept = stack.total("trading_trades_total")
    assert 20 <= kept <= len(accepted)
    assert stack.post().status_code == 201
    stack.wait_counted(int(kept) + 1, 60)

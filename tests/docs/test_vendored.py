"""Vendored files are unchanged, and have their licence."""

import hashlib
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

FOLDERS = [*sorted((ROOT / "static" / "vendor").iterdir()), ROOT / "tests" / "system" / "axe"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_vendored_file_has_the_checksum_in_its_readme(folder: Path) -> None:
    named = re.findall(r"sha256 ([0-9a-f]{64})  (\S+)", (folder / "README.md").read_text())
    assert named
    for digest, name in named:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert (folder / "LICENSE").stat().st_size > 0

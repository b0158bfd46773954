from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require
from tests.system.stack import REAL_DATA, Stack


@pytest.fixture
def cold(tmp_path: Path) -> Iterator[Stack]:
    """Give a stack that is not started."""
    with Stack(tmp_path) as stack:
        yield stack


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Give a running stack that the tests of a module share."""
    with Stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack.start()


@pytest.fixture
def real_data() -> list[Path]:
    files = sorted(REAL_DATA.glob("*.csv"))
    require("found" if files else None, f"the real trades in {REAL_DATA}")
    return files

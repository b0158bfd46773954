from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.canaries import SUITE_KEY, list_files, search
from tests.conftest import require, require_program
from tests.system.stack import REAL_DATA, Stack

# A bound on waiting, not a measurement: five seconds, the default, are too few on a busy machine.
expect.set_options(timeout=20_000)

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="session", autouse=True)
def no_secret_has_got_out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Search all that the tests of this run have written for the secret of their stacks; only its setting holds it."""
    yield
    found, _ = search({"key": SUITE_KEY}, list_files(tmp_path_factory.getbasetemp()))
    assert {path for path in found if Path(path).name not in {".env", "other.env"}} == set()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = require_program("chromium", "chromium-browser", "google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def cold(tmp_path: Path) -> Iterator[Stack]:
    """Yield a stack that is not started."""
    with Stack(tmp_path) as stack:
        yield stack


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a running stack, shared by the tests of a module."""
    with Stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack.start()


@pytest.fixture
def real_data() -> list[Path]:
    files = sorted(REAL_DATA.glob("*.csv"))
    require("found" if files else None, f"the real trades in {REAL_DATA}")
    return files

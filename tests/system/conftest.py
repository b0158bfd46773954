import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.canaries import SUITE_KEY, list_files, search
from tests.conftest import require, require_program
from tests.system.image import IMAGE_PROGRAMS, end_build, start_build
from tests.system.stack import REAL_DATA, Stack

# A bound on waiting, not a measurement: five seconds, the default, are too few on a busy machine.
expect.set_options(timeout=20_000)

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


searched = pytest.StashKey[int]()


@pytest.fixture(scope="session", autouse=True)
def no_secret_has_got_out(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[None]:
    """Search all that the tests of this run have written for the secret of their stacks; only its setting holds it."""
    yield
    found, pytestconfig.stash[searched] = search({"key": SUITE_KEY}, list_files(tmp_path_factory.getbasetemp()))
    assert {path for path in found if Path(path).name not in {".env", "other.env"}} == set()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line(f"{config.stash.get(searched, 0):,} bytes searched for secrets")


ImageBuild = tuple["subprocess.Popen[bytes]", Path]
"""The build of the image, and its log."""


@pytest.fixture(scope="session", autouse=True)
def image_build(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[ImageBuild | None]:
    """Build the image beside the other tests, if any test of this run needs it and the programs are there."""
    is_needed = any("image" in getattr(item, "fixturenames", ()) for item in request.session.items)
    if not is_needed or os.geteuid() != 0 or not all(map(shutil.which, IMAGE_PROGRAMS)):
        yield None
        return
    log = tmp_path_factory.mktemp("image") / "build.log"
    build = start_build(log)
    try:
        yield build, log
    finally:
        end_build(build)


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

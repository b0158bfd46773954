"""The commands of the Makefile."""

import os
import re
import subprocess
from pathlib import Path

from tests.conftest import ROOT, require_program

TARGETS = {"env-setup", "apps-up", "apps-dev", "apps-down", "infra-up", "infra-down", "open", "demo"}
TARGETS |= {
    "lint",
    "test",
    "faults",
    "faults-hub",
    "faults-nats",
    "check",
    "lock",
    "soak",
    "bench",
    "images",
    "stage-up",
    "stage-down",
    "release",
}


def make(*arguments: str, folder: Path = ROOT) -> str:
    command = [require_program("make"), *arguments]
    # These tests may run under make, whose variables would change the output.
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=True, timeout=30
    ).stdout


def test_make_without_a_target_lists_every_target_with_its_description() -> None:
    lines = dict(line.split(None, 1) for line in make().splitlines())
    assert set(lines) == TARGETS | {"help"}
    assert all(len(about) > 10 for about in lines.values())


def test_every_target_is_phony() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == TARGETS | {"help"}


def test_the_lock_files_have_every_package_with_hashes() -> None:
    for name in ("requirements", "requirements-dev"):
        lock = (ROOT / f"{name}.txt").read_text()
        asked = re.findall(r"^([a-z][a-z0-9-]*)", (ROOT / f"{name}.in").read_text(), re.MULTILINE)
        for package in asked:
            assert re.search(rf"^{package}==\S+ .*\\\n    --hash=sha256:", lock, re.MULTILINE), package
        assert "://" not in lock

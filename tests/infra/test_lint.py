"""``python -m infra.lint``, which ``make lint`` runs: it passes over our files, and finds planted errors."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SCRIPTS = sorted(each for each in (ROOT / "static").rglob("*.js") if "vendor" not in each.parts)


def lint(folder: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "infra.lint", str(folder)]
    environ = os.environ | {"NO_COLOR": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=100)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def static(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "static", tmp_path / "static"))


def test_every_script_is_checked_in_editors_too() -> None:
    assert SCRIPTS
    assert [each.name for each in SCRIPTS if not each.read_text().startswith("// @ts-check\n")] == []


def test_planted_errors_are_found(static: Path) -> None:
    planted = {
        ("desk/desk.js", "trades.add(status);"): "TS2345.*not assignable to parameter of type 'Trade",
        ("desk/desk.js", "trades.addAll([]);"): "TS2339.*'addAll' does not exist on type 'TradeList'",
        ("desk/chart.js", 'createChart("chart", { autosize: true });'): "TS2561.*'autosize' does not exist",
        ("desk/format.js", "export const same = (a) => a;"): "TS7006.*implicitly has an 'any' type",
        ("desk/format.js", "const unused = whole;"): "TS6133.*'unused' is declared but its value is never read",
        ("desk/page.js", 'if (document.title == "") document.title = "desk";'): "noDoubleEquals",
        ("app.css", ".card { colour: red; }"): "noUnknownProperty",
    }
    for name, text in planted:
        with (static / name).open("a") as file:
            file.write(f"{text}\n")
    code, output = lint(static)
    assert code == 1
    assert [text for (_, text), found in planted.items() if re.search(found, output) is None] == []


def test_our_files_have_no_errors_and_vendored_ones_are_not_checked(static: Path) -> None:
    (static / "vendor" / "other.js").write_text("var unused = 1 == missing;\n")
    code, output = lint(static)
    assert code == 0, output

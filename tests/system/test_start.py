"""What prevents a start, and the message that says so."""

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.common.journal.test_migrations import make_version_1
from tests.conftest import ROOT
from tests.system.stack import BIN, Stack
from tests.waiting import wait_for


def run(stack: Stack, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"} | stack.settings | settings
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=30, check=False)


WEB = ("gunicorn", "webapp:create_app()")
SIDECAR = (sys.executable, "-m", "sidecar")


@pytest.mark.parametrize("command", [WEB, SIDECAR], ids=["web", "sidecar"])
def test_a_bad_setting_stops_the_start_in_one_line(cold: Stack, command: tuple[str, ...]) -> None:
    done = run(cold, *command, SYMBOL_LIMIT="many")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "SYMBOL_LIMIT is 'many'; expected a number of symbols" in done.stderr


@pytest.mark.parametrize(
    "settings", [{"SYMBOL_LIMIT": "many"}, {"SECRET_KEY": "short"}, {"SECRET_KEY_FILE": "/nowhere/key"}]
)
def test_a_command_shows_a_bad_setting_in_one_line(cold: Stack, settings: dict[str, str]) -> None:
    done = run(cold, "flask", "--app", "webapp", "trades", "audit", **settings)
    assert done.returncode == 1
    assert re.fullmatch(r"Error: [A-Z_]+ is '.*'; expected .*\n", done.stderr)


@pytest.mark.parametrize(
    ("command", "name"),
    [(WEB, "SECRET_KEY_FILE"), (WEB, "SIDECAR_TOKEN_FILE"), (SIDECAR, "SIDECAR_TOKEN_FILE")],
    ids=["web", "web-sidecar", "sidecar"],
)
def test_a_secret_that_others_may_read_stops_the_start_in_one_line(
    cold: Stack, command: tuple[str, ...], name: str
) -> None:
    file = cold.folder / "exposed"
    file.touch(0o644)
    file.chmod(0o644)
    file.write_text("a-canary-in-a-file-of-the-test\n")
    settings = {name: str(file)} | ({"SECRET_KEY": ""} if name == "SECRET_KEY_FILE" else {})
    done = run(cold, *command, **settings)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"{name} is '{file}'; expected a file that only its owner may read" in done.stderr
    assert "canary" not in done.stderr


def test_a_sidecar_beyond_loopback_without_a_token_does_not_start(cold: Stack) -> None:
    done = run(cold, *SIDECAR, SIDECAR_HTTP_HOST="0.0.0.0")
    assert done.returncode == 1
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert line["detail"].startswith("SIDECAR_TOKEN_FILE is not set; expected a file with the token of its clients")


def test_web_does_not_start_with_the_sample_secret(cold: Stack) -> None:
    done = run(cold, *WEB, SECRET_KEY="replace-me")
    assert done.returncode == 1
    assert "SECRET_KEY" in done.stderr


def test_a_port_in_use_is_reported_in_one_line(shared: Stack) -> None:
    web = run(shared, *WEB)
    assert web.returncode == 1
    (line,) = [json.loads(line) for line in web.stderr.splitlines() if "cannot bind" in line]
    assert line["message"].startswith(f"cannot bind http://127.0.0.1:{shared.settings['WEBAPP_HTTP_PORT']}")
    assert "Traceback" not in web.stderr

    own = {"JOURNAL_PATH": str(shared.folder / "own.db"), "SNAPSHOT_PATH": str(shared.folder / "own")}
    sidecar = run(shared, *SIDECAR, **own)
    assert sidecar.returncode == 1
    (line,) = [json.loads(line) for line in sidecar.stderr.splitlines()]
    assert line["detail"] == f"cannot bind {shared.settings['WEBAPP_ZMQ_ADDR']}: it is in use"

    sidecar = run(shared, *SIDECAR, WEBAPP_ZMQ_ADDR=f"ipc://{shared.folder}/hints", **own)
    (line,) = [json.loads(line) for line in sidecar.stderr.splitlines()]
    assert line["detail"] == f"cannot bind {shared.sidecar_url}: it is in use"


def test_a_second_sidecar_on_a_journal_or_a_snapshot_exits_with_one_line(shared: Stack) -> None:
    shared.post()
    journal, snapshot = shared.settings["JOURNAL_PATH"], shared.settings["SNAPSHOT_PATH"]
    pid = shared.find("sidecar").pid
    (shared.folder / "link.db").symlink_to("journal.db")
    other = {"SIDECAR_HTTP_PORT": "0", "WEBAPP_ZMQ_ADDR": f"ipc://{shared.folder}/other-hints"}
    before = shared.total("trading_trades_total")
    for resource, settings in {
        f"journal {journal}": {},
        f"journal {journal} ": {"SNAPSHOT_PATH": f"{shared.folder}/another"},
        f"journal {shared.folder}/link.db": {"JOURNAL_PATH": f"{shared.folder}/link.db"},
        f"snapshot {snapshot}": {"JOURNAL_PATH": f"{shared.folder}/another.db"},
    }.items():
        second = run(shared, *SIDECAR, **(other | settings))
        assert second.returncode == 1
        (line,) = [json.loads(line) for line in second.stderr.splitlines()]
        assert line["reason"] == "in_use"
        assert line["detail"] == f"{resource.strip()} is in use by another process, {pid}"
    shared.post()
    shared.wait_counted(round(before) + 1)


def test_a_file_that_cannot_be_locked_is_reported_in_one_line(cold: Stack) -> None:
    (cold.folder / "notes").write_text("mine")
    (cold.folder / "journal.db.lock").symlink_to("notes")
    done = run(cold, *SIDECAR)
    assert done.returncode == 1
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert line["reason"] == "lock"
    assert line["detail"].startswith(f"journal {cold.settings['JOURNAL_PATH']} cannot be locked")
    done = run(cold, *SIDECAR, SNAPSHOT_PATH=f"{cold.folder}/notes/snapshot", JOURNAL_PATH=f"{cold.folder}/other.db")
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert line["detail"].startswith(f"snapshot {cold.folder}/notes/snapshot cannot be locked")
    assert (cold.folder / "notes").read_text() == "mine"


@pytest.mark.parametrize("command", [WEB, SIDECAR], ids=["web", "sidecar"])
def test_one_path_for_snapshot_and_journal_stops_the_start_and_changes_nothing(
    cold: Stack, command: tuple[str, ...]
) -> None:
    cold.start("web").accept(3)
    cold.stop("web")
    before = sorted(cold.folder.glob("journal.db*"))
    done = run(cold, *command, SNAPSHOT_PATH=cold.settings["JOURNAL_PATH"])
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.partition("SNAPSHOT_PATH is ")[2].startswith(f"'{cold.settings['JOURNAL_PATH']}'; expected")
    assert sorted(cold.folder.glob("journal.db*")) == before
    assert cold.journalled() == 3


def test_a_corrupt_journal_stops_the_sidecar_in_one_line(cold: Stack) -> None:
    (cold.folder / "journal.db").write_text("these are my notes")
    done = run(cold, *SIDECAR)
    assert done.returncode == 1
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert line["reason"] == "corrupt"


def test_gunicorn_listens_only_where_the_settings_say(shared: Stack) -> None:
    # honcho sets PORT=5000 for the first process, which gunicorn would bind to by default.
    assert f"Listening at: {shared.web_url} " in shared.log.read_text()
    assert requests.get(f"{shared.web_url}/healthz", timeout=60).json() == {"status": "alive"}


def test_every_line_of_the_log_is_json_without_the_secret(shared: Stack) -> None:
    shared.post()
    text = shared.log.read_text()
    assert shared.settings["SECRET_KEY"] not in text
    lines = [line.partition(" | ")[2] for line in text.splitlines() if "system " not in line]
    assert {json.loads(line)["service"] for line in lines} == {"web", "sidecar"}


def test_the_sidecar_serves_its_page_and_every_metrics_format(shared: Stack) -> None:
    assert "/metrics" in requests.get(shared.sidecar_url, timeout=60).text
    openmetrics = requests.get(
        f"{shared.sidecar_url}/metrics", headers={"Accept": "application/openmetrics-text"}, timeout=60
    )
    assert openmetrics.text.endswith("# EOF\n")
    selected = requests.get(f"{shared.sidecar_url}/metrics?name[]=sidecar_last_seq", timeout=60)
    assert "sidecar_last_seq" in selected.text
    assert "trading_trades_total" not in selected.text


@pytest.mark.parametrize("command", [WEB, SIDECAR], ids=["web", "sidecar"])
def test_a_journal_newer_than_the_program_stops_the_start_in_one_line(cold: Stack, command: tuple[str, ...]) -> None:
    path = make_version_1(cold.folder / "journal.db", "PRAGMA user_version = 4;")
    done = run(cold, *command)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "has schema 4" in line]
    assert f"journal {path} has schema 4, newer than this program; expected 1 to 3" in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [WEB, SIDECAR], ids=["web", "sidecar"])
def test_an_earlier_program_that_is_still_running_stops_the_start_and_is_named(
    cold: Stack, command: tuple[str, ...]
) -> None:
    path = make_version_1(cold.folder / "journal.db")
    with contextlib.closing(sqlite3.connect(path)) as earlier:
        assert earlier.execute("SELECT count(*) FROM trades").fetchone() == (1,)
        done = run(cold, *command)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "still open" in line]
    assert f"still open in process {os.getpid()} (" in line
    assert "Traceback" not in done.stderr
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_stack_continues_a_journal_of_version_1(cold: Stack) -> None:
    make_version_1(cold.folder / "journal.db", "UPDATE journal SET base = NULL;")
    cold.start().accept(5)
    cold.wait_counted(6)
    assert cold.journalled() == 7


def test_no_counter_decreases_when_no_snapshot_can_be_written_after_a_start(cold: Stack) -> None:
    cold.start("web").start("sidecar")
    cold.accept(3)
    wait_for(
        lambda: cold.total("webapp_http_requests_total", route="/trade", status="201") == 3, "the requests are counted"
    )
    cold.stop("sidecar")
    cold.stop("web")
    # A folder at the path of the temporary file: no snapshot can be written, but existing ones can be read.
    Path(f"{cold.settings['SNAPSHOT_PATH']}.new").mkdir()
    cold.start("sidecar")
    assert cold.total("sidecar_snapshot_failures_total") > 0
    assert cold.total("webapp_http_requests_total", route="/trade", status="201") == 3

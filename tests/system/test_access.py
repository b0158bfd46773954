"""Access to a real stack: starts that are not safe, and changes that every worker sees within a second."""

import json
import os
import subprocess
from pathlib import Path

import psutil
import pytest
import requests

from common.credentials import hash_token, make_token
from common.journal.credentials import Term, add_token, revoke_token
from common.journal.store import Journal
from common.timestamps import format_timestamp, now
from tests.conftest import ROOT
from tests.system.stack import BIN, TRADE, Stack
from tests.waiting import wait_for

FIRST = ".venv/bin/flask --app webapp tokens create NAME --scope trade:write"


def add(stack: Stack, name: str, *scopes: str) -> dict[str, str]:
    """Add a token and return the header that sends it."""
    text = make_token()
    with Journal(Path(stack.settings["JOURNAL_PATH"])) as journal:
        assert add_token(journal, name, hash_token(text), scopes, Term(format_timestamp(now()), None))
    return {"Authorization": f"Bearer {text}"}


def start(stack: Stack, **settings: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"} | stack.settings | settings
    command = ["gunicorn", "webapp:create_app()"]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"WEBAPP_HTTP_HOST": "0.0.0.0"}, "it listens on 0.0.0.0, which other hosts reach,"),
        ({"WEBAPP_HTTP_HOST": "::"}, "it listens on ::, which other hosts reach,"),
        ({"TRUSTED_PROXIES": "127.0.0.1"}, "TRUSTED_PROXIES lets other hosts reach it,"),
    ],
)
def test_a_start_that_others_could_use_without_a_credential_stops_in_one_line(
    cold: Stack, settings: dict[str, str], what: str
) -> None:
    done = start(cold, **settings)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = [json.loads(line) for line in done.stderr.splitlines() if "cannot start" in line]
    assert line["message"] == (f"cannot start: {what} and no token was made; make one with {FIRST}, or set AUTH to off")
    assert "Booting worker" not in done.stderr


@pytest.mark.parametrize("auth", ["auto", "required", "off"])
def test_with_a_credential_or_when_told_so_it_starts_beyond_loopback(cold: Stack, auth: str) -> None:
    if auth == "auto":
        add(cold, "bot", "trade:read")
    cold.settings |= {"WEBAPP_HTTP_HOST": "0.0.0.0", "AUTH": auth}
    cold.start("web")
    assert requests.get(f"{cold.web_url}/trades", timeout=60).status_code == (200 if auth == "off" else 401)
    messages = {"off": "access is not protected", "required": "no credential exists"}
    assert {name: text in cold.log.read_text() for name, text in messages.items()} == {
        name: name == auth for name in messages
    }


def test_every_worker_follows_a_new_a_rotated_and_a_revoked_token(cold: Stack) -> None:
    cold.settings["WEB_CONCURRENCY"] = "4"
    cold.start("web")
    journal_path = Path(cold.settings["JOURNAL_PATH"])

    def get_status(headers: dict[str, str]) -> int:
        return requests.get(f"{cold.web_url}/trades", headers=headers, timeout=60).status_code

    workers = sorted(cold.workers(), key=lambda worker: worker.pid)
    assert len(workers) == 4
    header = add(cold, "bot", "trade:read")
    for worker in workers:
        with cold.only(worker):
            wait_for(lambda: get_status({}) == 401, "the worker is locked")
            assert get_status(header) == 200
    with Journal(journal_path) as journal:
        assert revoke_token(journal, "bot", format_timestamp(now()))
    for worker in workers:
        with cold.only(worker):
            wait_for(lambda: get_status(header) == 401, "the worker rejects the revoked token")


def test_the_stack_works_while_it_is_locked(cold: Stack) -> None:
    header = add(cold, "bot", "trade:write", "trade:read")
    cold.start()
    assert requests.post(f"{cold.web_url}/trade", json=TRADE, timeout=60).status_code == 401
    for _ in range(3):
        assert requests.post(f"{cold.web_url}/trade", json=TRADE, headers=header, timeout=60).status_code == 201
    cold.wait_counted(3)
    assert cold.total("trading_source_trades_total", source="bot") == 3
    wait_for(lambda: cold.total("webapp_auth_failures_total", reason="no_credential") == 1, "the failure is exposed")
    assert header["Authorization"].partition(" ")[2] not in cold.log.read_text()
    shown = " ".join(" ".join(psutil.Process(worker.pid).cmdline()) for worker in cold.workers())
    assert "tt_" not in shown

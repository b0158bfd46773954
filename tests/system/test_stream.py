"""Hosts that push to a real NATS server, and hubs that read it: real processes, of which any may be killed."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from common.journal.store import Journal
from tests.conftest import ROOT, append, make_trade
from tests.system.nats_server import Nats
from tests.system.relay import RelayProcess
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    with Nats(tmp_path_factory.mktemp("nats")) as nats:
        ended = run("setup", nats.list_settings())
        assert (ended.returncode, ended.stdout) == (0, "stream TRADES: as the settings say\n"), ended.stderr
        yield nats


PASSWORD = "canary5PasswordOfTheRelay"


def run(command: str, settings: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "relay", command]
    return subprocess.run(line, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=60, check=False)


def start(command: str, journal: Path, nats: Nats, name: str = "") -> RelayProcess:
    # The server asks nobody for a password.
    secret = journal.parent / "secret"
    secret.touch(0o600)
    secret.write_text(PASSWORD)
    user = {"RELAY_USER": "host", "RELAY_PASSWORD_FILE": str(secret), "LOG_LEVEL": "DEBUG"}
    settings = nats.list_settings() | user | {"JOURNAL_PATH": str(journal)}
    return RelayProcess(command, settings, journal.parent / f"{name or command}.log")


def add(path: Path, count: int) -> None:
    with Journal(path, "normal") as journal:
        append(journal, [make_trade(price=str(n + 1)) for n in range(count)])


def list_ids(path: Path) -> list[str]:
    with Journal(path) as journal:
        return [event.id for event in journal.read_after(0, 1_000_000)]


def test_every_trade_arrives_once_and_in_order_through_kills_of_push_and_pull(nats: Nats, tmp_path: Path) -> None:
    host, hub = tmp_path / "host.db", tmp_path / "hub.db"
    add(host, 3000)
    relays = [start("push", host, nats), start("push", host, nats, "second"), start("pull", hub, nats)]
    try:
        for fault in (signal.SIGKILL, signal.SIGTERM):
            before = len(list_ids(hub))
            wait_for(lambda before=before: len(list_ids(hub)) > before, "some have arrived")  # type: ignore[misc]
            for relay in relays:
                assert relay.end(fault) == (0 if fault == signal.SIGTERM else -9), relay.log.read_text()
                relay.start()
            add(host, 1500)
        wait_for(lambda: len(list_ids(hub)) == 6000, "all have arrived")
        assert list_ids(hub) == list_ids(host)
        wait_for(lambda: all(relay.is_ready() for relay in relays), "all are ready")
        second = run("pull", nats.list_settings() | {"JOURNAL_PATH": str(hub)})
        assert (second.returncode, json.loads(second.stderr)["reason"]) == (1, "in_use")
        for relay in relays:
            answers = [
                requests.get(f"{relay.url}{path}", timeout=60).text for path in ("/", "/metrics", "/readyz", "/x")
            ]
            process = psutil.Process(relay.process.pid)
            shown = [*answers, relay.log.read_text(), str(process.environ()), str(process.cmdline())]
            assert not any(PASSWORD in text for text in shown)
    finally:
        for relay in relays:
            relay.end()


def test_a_push_that_cannot_go_on_and_one_that_must_not_start_end_with_an_error(nats: Nats, tmp_path: Path) -> None:
    host = tmp_path / "host.db"
    add(host, 3)
    settings = nats.list_settings() | {"JOURNAL_PATH": str(host)}
    relay = start("push", host, nats)
    with Journal(host) as journal:
        try:
            wait_for(lambda: journal.read_pushed() == 3, "all are in the stream")
        finally:
            relay.end()
        append(journal, [make_trade() for _ in range(3)])
        journal.prune(5, b"{}")
    ended = run("push", settings)
    assert ended.returncode == 1
    assert '"reason": "pruned"' in ended.stderr
    assert PASSWORD not in ended.stderr
    for more, word in (
        ({"RELAY_TRANSPORT": "http"}, "RELAY_TRANSPORT is 'http'; expected nats"),
        ({"RELAY_NATS_URL": ""}, "RELAY_NATS_URL is not set"),
    ):
        ended = run("push", settings | more)
        (line,) = ended.stderr.splitlines()
        assert (ended.returncode, word in json.loads(line)["detail"]) == (1, True)

"""The servers of ``infra/nats``: the real server runs their files, with users and certificates of its command."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from common.journal.store import Journal
from infra.nats.__main__ import main
from relay.nkey import Nkey
from tests.conftest import ROOT, append, make_trade, require_program
from tests.system.relay import RelayProcess
from tests.system.stack import free_ports
from tests.waiting import wait_for

FILES = ROOT / "infra" / "nats"
OTHER = "f" * 32


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the files of a node, users and certificates."""
    for file in FILES.glob("*.conf"):
        (tmp_path / file.name).write_text(file.read_text())
    with Journal(tmp_path / "host.db") as journal:
        append(journal, [make_trade(price=str(n + 1)) for n in range(20)])
        journal_id = journal.journal_id
    for words in (["admin", "admin"], ["hub", "hub"], ["host", "berlin", journal_id], ["host", "tokyo", OTHER]):
        assert main(["--folder", str(tmp_path), *words]) == 0
    assert main(["--folder", str(tmp_path), "tls", "127.0.0.1", "localhost"]) == 0
    return tmp_path


def list_environs(folder: Path, count: int) -> list[dict[str, str]]:
    """List the environment of each node."""
    ports = [free_ports(3) for _ in range(count)]
    routes = json.dumps([f"tls://127.0.0.1:{route}" for _, _, route in ports])
    return [
        os.environ
        | {
            "NATS_NAME": f"n{number}",
            "NATS_LISTEN": f"127.0.0.1:{port}",
            "NATS_HTTP": f"127.0.0.1:{http}",
            "NATS_CLUSTER": f"127.0.0.1:{route}",
            "NATS_ROUTES": routes,
            "NATS_STORE": str(folder / f"n{number}"),
            "NATS_MAX_FILE": "2GB",
            "NATS_CERTIFICATE": str(folder / "server.pem"),
            "NATS_KEY": str(folder / "server.key"),
            "NATS_CA": str(folder / "ca.pem"),
        }
        for number, (port, http, route) in enumerate(ports)
    ]


@pytest.fixture
def nodes(folder: Path) -> Iterator[str]:
    """Run three nodes, and yield their URLs."""
    environs = list_environs(folder, 3)
    command = [require_program("nats-server"), "-c", str(folder / "three.conf")]
    with (folder / "nats.log").open("wb") as log:
        running = [subprocess.Popen(command, env=each, stdout=log, stderr=log) for each in environs]
    yield ",".join(f"tls://{each['NATS_LISTEN']}" for each in environs)
    for process in running:
        process.kill()
        process.wait(60)


def list_connected(log: Path) -> set[tuple[str, str]]:
    """List who is connected to the nodes, by name and key."""
    urls = re.findall("Starting http monitor on (.*)", log.read_text())
    answers = [requests.get(f"http://{url}/connz?auth=true", timeout=60).json() for url in urls]
    return {(each["name"], each["authorized_user"]) for found in answers for each in found["connections"]}


@pytest.mark.parametrize("name", ["one.conf", "three.conf"])
def test_the_server_accepts_a_file(folder: Path, name: str) -> None:
    (environ,) = list_environs(folder, 1)
    command = [require_program("nats-server"), "-t", "-c", str(folder / name)]
    checked = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_three_nodes_with_tls_bring_a_hosts_trades_to_a_hub_and_each_user_has_its_own_rights(
    folder: Path, nodes: str
) -> None:
    def list_settings(user: str, journal: str) -> dict[str, str]:
        return {
            "RELAY_TRANSPORT": "nats",
            "RELAY_NATS_URL": nodes,
            "RELAY_MAX_BYTES": "64MiB",
            "RELAY_CA_FILE": str(folder / "ca.pem"),
            "RELAY_NKEY_FILE": str(folder / f"{user}.nkey"),
            "JOURNAL_PATH": str(folder / journal),
        }

    def is_set_up() -> bool:
        setup = [sys.executable, "-m", "relay", "setup"]
        environ = os.environ | list_settings("admin", "host.db")
        return subprocess.run(setup, cwd=ROOT, env=environ, capture_output=True, check=False).returncode == 0

    wait_for(is_set_up, "the stream is made", 120, 0.5)
    # The key of another host, which may not write to the subject of this journal.
    foreign = RelayProcess("push", list_settings("tokyo", "host.db"), folder / "foreign.log")
    pull = RelayProcess("pull", list_settings("hub", "hub.db"), folder / "pull.log")
    push = None
    try:
        wait_for(lambda: "cannot be used" in (folder / "foreign.log").read_text(), "it is refused", 120)
        foreign.end()
        with Journal(folder / "hub.db") as hub:
            assert hub.last_seq() == 0
            push = RelayProcess("push", list_settings("berlin", "host.db"), folder / "push.log")
            wait_for(lambda: hub.last_seq() == 20, "the trades have arrived", 120)
            # As the runbooks ask: who is connected from where.
            keys = {name: Nkey.read((folder / f"{name}.nkey").read_text().strip()).public for name in ("berlin", "hub")}
            connected = {("relay push", keys["berlin"]), ("relay pull", keys["hub"])}
            wait_for(lambda: list_connected(folder / "nats.log") == connected, "both are connected")
    finally:
        for relay in (foreign, pull, *([push] if push else [])):
            relay.end()


def test_keys_are_private_and_each_user_has_an_inbox_of_its_own(folder: Path) -> None:
    users = (folder / "users.conf").read_text()
    keys = re.findall("nkey: (U[A-Z0-9]+)", users)
    assert re.findall(r'subscribe: \["([^"]+)"', users) == [f"_INBOX_{key}.>" for key in keys]
    assert len(set(keys)) == 4
    assert {path.stat().st_mode & 0o077 for path in [*folder.glob("*.nkey"), folder / "server.key"]} == {0}


def test_a_restored_host_keeps_its_key_and_gets_the_rights_of_its_new_journal(folder: Path) -> None:
    seed = (folder / "tokyo.nkey").read_text()
    assert main(["--folder", str(folder), "host", "tokyo", "e" * 32]) == 0
    assert (folder / "tokyo.nkey").read_text() == seed
    users = (folder / "users.conf").read_text()
    assert f"trades.{'e' * 32}" in users
    assert OTHER not in users


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["host", "a b", OTHER], "a name of 1 to 64 letters"), (["host", "a", "x"], "'x'; expected a journal_id")],
)
def test_a_bad_name_or_journal_id_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    with pytest.raises(SystemExit):
        main(["--folder", str(tmp_path), *words])
    assert expected in capsys.readouterr().err

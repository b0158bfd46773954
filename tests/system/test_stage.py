"""The stage: ``make stage-up`` with the real programs, users, files, paths, ports and addresses of the compose file."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.journal.opening import inspect
from tests.conftest import ROOT, require, require_program
from tests.system import engine
from tests.system.checkout import Checkout
from tests.system.stack import TRADE
from tests.waiting import wait_for

PROGRAMS = ("prometheus", "prometheus-alertmanager", "nats-server", "nginx", "openssl")
NAMESPACES = ("unshare", "nsenter", "setpriv", "ip", "curl")


class Stage:
    """A checkout whose ``docker`` is the stand-in, and the network of its host."""

    def __init__(self, folder: Path) -> None:
        self.checkout = Checkout(folder / "checkout")
        self.state = folder / "engine"
        self.state.mkdir()
        self.host = subprocess.Popen(["unshare", "--net", "sleep", "1000"])
        own = engine.read_network(os.getpid())
        wait_for(lambda: engine.read_network(self.host.pid) != own, "it has a network of its own")
        for line in (
            "link set lo up",
            "link add br0 type bridge",
            "addr add 172.30.80.1/24 dev br0",
            "link set br0 up",
        ):
            self.run("ip", *line.split())
        script = self.checkout.folder / "bin" / "docker"
        script.parent.mkdir()
        call = [sys.executable, "-m", "tests.system.engine", str(self.state), str(self.host.pid)]
        script.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.join(call)} "$@"\n')
        script.chmod(0o755)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the network of the host of the containers."""
        inside = ["nsenter", "-t", str(self.host.pid), "-n", *command]
        folder = self.checkout.folder
        done = subprocess.run(inside, cwd=folder, capture_output=True, text=True, check=False, timeout=250)
        assert done.returncode == 0, (command, done.stdout, done.stderr, self.read_logs())
        return done

    def make(self, target: str) -> str:
        done = self.checkout.run(f"PATH=$PWD/bin:$PATH make {target}", 200)
        assert done.returncode == 0, done.stdout + done.stderr + self.read_logs()
        return done.stdout

    def is_ready(self) -> bool:
        """Ask each service at the port that is published on this host."""
        paths = ["3000/api/health", "9090/-/ready", "9093/-/ready"]
        urls = ["https://127.0.0.1:8443/readyz", *(f"http://127.0.0.1:{path}" for path in paths)]
        curl = ["nsenter", "-t", str(self.host.pid), "-n", "curl", "--fail", "--insecure", "--max-time", "20"]
        return all(subprocess.run([*curl, url], capture_output=True, check=False).returncode == 0 for url in urls)

    def read_logs(self) -> str:
        return "".join(f"{path}:\n{path.read_text()[-2000:]}" for path in self.state.glob("*.log"))

    def end(self) -> None:
        engine.stop(self.state)
        self.checkout.kill()
        self.host.kill()
        self.host.wait(20)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    for program in (*PROGRAMS, *NAMESPACES):
        require_program(program)
    require("root" if os.geteuid() == 0 else None, "root, which namespaces need,")
    allowed = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False
    )
    if allowed.returncode != 0:
        pytest.skip(f"the kernel does not allow namespaces here: {allowed.stderr.decode()}")
    made = Stage(tmp_path)
    try:
        yield made
    finally:
        made.end()


def check_that_a_hub_reads_the_stage(stage: Stage) -> str:
    """Start a node and the push of the stage, then the pull of a hub with a journal beside, and return what is said."""
    said = stage.make("stage-up NATS=1")
    assert "stream TRADES: as the settings say" in said
    ask = [
        "curl",
        "--fail",
        "--silent",
        "--get",
        "--data-urlencode",
        "query=relay_last_seq",
        "127.0.0.1:9090/api/v1/query",
    ]

    def list_pushed() -> list[float]:
        """List up to which seq the push, which Prometheus scrapes, has sent trades."""
        found = json.loads(stage.run(*ask).stdout)["data"]["result"]
        assert all(each["metric"]["job"] == "relay" for each in found)
        return [float(each["value"][1]) for each in found]

    last = wait_for(lambda: next(filter(None, list_pushed()), None), "the stage's trades are in the stream", 120, 0.5)
    # At a hub its own key is this secret.
    folder = stage.checkout.folder / "var" / "stage"
    key = folder / "secrets" / "relay.key"
    key.write_text((folder / "nats" / "hub.nkey").read_text())
    hub = stage.state / "volumes" / "trading" / "hub.db"
    of_hub = "env JOURNAL_PATH=/var/lib/trading-telemetry/hub.db python -m relay pull"
    run = "docker compose --project-name trading-stage --file infra/compose.yml --profile stage --profile pull run"
    stage.checkout.launch(f"env PATH=$PWD/bin:$PATH VAR=$PWD/var/stage {run} --rm --no-deps --no-TTY pull {of_hub}")

    log = stage.checkout.folder / "stack.log"
    wait_for(lambda: "relay is running" in log.read_text(), "the pull runs", 120, 0.5)
    wait_for(lambda: inspect(hub).last_seq >= last, "the hub has the trades of the stage", 120, 0.5)
    return said


def test_the_stage_starts_shows_its_secrets_once_and_fills_every_panel(stage: Stage) -> None:
    first = stage.make("stage-up")
    token = re.search(r"^Token: stage   not shown again: (tt_\S+)$", first, re.MULTILINE)
    password = re.search(r"^User: stage   password, not shown again: (\S+)$", first, re.MULTILINE)
    assert token
    assert password
    wait_for(stage.is_ready, "every service is ready", 120, 0.5)
    file = stage.checkout.folder / "token"
    file.write_text(token[1])
    file.chmod(0o600)
    check = [str(stage.checkout.folder / ".venv/bin/python"), "-m", "infra.check_stage", "--token-file", "token"]
    done = stage.run(*check, "--seconds", "100")
    assert done.stdout == "Every panel has data.\n"
    # Again: nothing new is made, and nothing shown.
    again = stage.make("stage-up")
    assert "shown when they were made" in again
    curl = ["curl", "--fail", "--cacert", "var/stage/trading.crt"]
    trades = stage.run(*curl, "--header", f"Authorization: Bearer {token[1]}", "https://127.0.0.1:8443/trades").stdout
    assert json.loads(trades)["trades"]
    # The client is who asked nginx, since the web process believes its address.
    client = re.findall(r'"route": "/trades", .*"client": "([^"]+)"', (stage.state / "web.log").read_text())
    assert set(client) == {"172.30.80.1"}
    with_nats = check_that_a_hub_reads_the_stage(stage)
    log = (stage.state / "docker.log").read_text() + stage.read_logs() + again + with_nats
    assert token[1] not in log
    assert password[1] not in log
    stage.make("stage-down")
    assert not stage.is_ready()


def test_the_steps_for_containers_of_your_own_accept_a_trade(stage: Stage) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    blocks = re.findall(r"^```sh\n(docker .*?)^```", page, re.MULTILINE | re.DOTALL)
    done = stage.checkout.run("set -e; PATH=$PWD/bin:$PATH; KEY=a-secret-of-this-test-only\n" + "".join(blocks), 200)
    assert done.returncode == 0, done.stdout + done.stderr + stage.read_logs()
    (token,) = re.findall(r"^tt_\S+$", done.stdout, re.MULTILINE)
    curl = ["nsenter", "-t", str(stage.host.pid), "-n", "curl", "--fail", "--silent", "--max-time", "20"]
    authorised = [*curl, "--header", f"Authorization: Bearer {token}"]
    url = "http://127.0.0.1:8000"

    def is_accepted() -> bool:
        send = [*authorised, "--header", "Idempotency-Key: first", "--json", json.dumps(TRADE), f"{url}/trade"]
        return subprocess.run(send, capture_output=True, check=False).returncode == 0

    def is_counted() -> bool:
        state = subprocess.run([*authorised, f"{url}/pipeline"], capture_output=True, text=True, check=False).stdout
        return bool(state) and json.loads(state)["sidecar"] == {"reachable": True, "ready": True, "last_seq": 1}

    wait_for(is_accepted, "it is accepted", 120, 0.5)
    wait_for(is_counted, "the sidecar, in the other container, has counted it", 60, 0.5)

"""The units for systemd: checked by its own tools, and their commands run with their settings, without systemd."""

import contextlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from common.journal.store import Journal
from tests.conftest import ROOT, require_program
from tests.system.stack import BIN, TRADE, free_ports
from tests.waiting import wait_for

UNITS = sorted((ROOT / "infra" / "systemd").glob("*.service"))
TIMER = ROOT / "infra" / "systemd" / "trading-telemetry-backup.timer"


def read_unit(name: str) -> list[tuple[str, str]]:
    text = (ROOT / "infra" / "systemd" / f"trading-telemetry-{name}.service").read_text()
    return re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)


def test_there_is_a_unit_for_each_process() -> None:
    names = [unit.name.removeprefix("trading-telemetry-") for unit in UNITS]
    assert names == ["backup.service", "push.service", "relay.service", "sidecar.service", "web.service"]
    # They differ in what they run only: the same user, files, limits and protection.
    web, sidecar = set(read_unit("web")), set(read_unit("sidecar"))
    own = {"Description", "Wants", "Type", "NotifyAccess", "ExecStart", "ExecReload", "KillMode", "LoadCredential"}
    assert {name for name, _ in web ^ sidecar} - own == {"Environment"}
    for each in ("push", "relay"):
        relay = {name for name, _ in set(read_unit(each)) ^ sidecar}
        assert relay == {"Description", "ExecStart", "Environment"}
    # A backup ends by itself, and its timer starts it.
    own = {"Description", "Type", "ExecStart", "Environment", "LoadCredential"}
    runs = {"After", "Documentation", "Wants", "StartLimitIntervalSec", "Restart", "RestartSec", "TimeoutStopSec"}
    assert {name for name, _ in set(read_unit("backup")) ^ sidecar} - own == runs | {"WantedBy"}


@pytest.mark.parametrize("unit", [*UNITS, TIMER], ids=lambda unit: unit.name)
def test_systemd_finds_nothing_wrong_with_a_unit(unit: Path, tmp_path: Path) -> None:
    analyze = require_program("systemd-analyze")
    # Its programs are looked up, so the checkout must be where the unit says.
    for each in (*UNITS, TIMER):
        (tmp_path / each.name).write_text(each.read_text().replace("/opt/trading-telemetry", str(ROOT)))
    command = [analyze, "verify", "--man=no", str(tmp_path / unit.name)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_exposed_to_little(unit: Path) -> None:
    command = [require_program("systemd-analyze"), "security", "--offline=true", "--no-pager", str(unit)]
    report = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+) ", report)
    assert level is not None, report
    assert float(level[1]) <= 2.5


class Host:
    """Runs the command of each unit as systemd would, with the folders of a host in a temporary one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        web, sidecar = free_ports(2)
        self.web_url, self.sidecar_url = f"http://127.0.0.1:{web}", f"http://127.0.0.1:{sidecar}"
        (folder / "credentials").mkdir()
        (folder / "credentials" / "secret_key").write_text("a-secret-of-this-test-only\n")
        (folder / "credentials" / "secret_key").chmod(0o400)
        (folder / "state").mkdir(mode=0o700)
        self._settings = {"WEBAPP_HTTP_PORT": str(web), "SIDECAR_HTTP_PORT": str(sidecar), "WEB_CONCURRENCY": "2"}

    def _here(self, text: str) -> str:
        text = text.replace("/opt/trading-telemetry/.venv/bin", str(BIN)).replace("/opt/trading-telemetry", str(ROOT))
        return text.replace("/var/lib/trading-telemetry", str(self.folder / "state")).replace(
            "%d", str(self.folder / "credentials")
        )

    def environ(self, name: str) -> dict[str, str]:
        unit = [self._here(value).split("=", 1) for key, value in read_unit(name) if key == "Environment"]
        credentials = {"CREDENTIALS_DIRECTORY": str(self.folder / "credentials")}
        # A host has no .env; the one of this checkout has its secret in no file.
        host = {"PATH": "/usr/bin:/bin", "FLASK_SKIP_DOTENV": "1"}
        return host | dict(unit) | self._settings | credentials

    @contextlib.contextmanager
    def service(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the command of a unit."""
        values = dict(read_unit(name))
        folder = self._here(values["WorkingDirectory"])
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                shlex.split(self._here(values["ExecStart"])),
                cwd=folder,
                env=self.environ(name),
                stdout=log,
                stderr=log,
                umask=int(values["UMask"], 8),
            )
        try:
            yield process
        finally:
            process.terminate()
            assert process.wait(20) == 0, (self.folder / f"{name}.log").read_text()

    def make_token(self) -> str:
        command = [str(BIN / "flask"), "--app", "webapp", "tokens", "create", "bot", "--scope", "trade:write"]
        done = subprocess.run(command, cwd=ROOT, env=self.environ("web"), capture_output=True, text=True, check=True)
        return done.stdout.strip()


def is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/readyz", timeout=60).status_code == 200
    except requests.RequestException:
        return False


def test_the_commands_of_the_units_count_a_trade(tmp_path: Path) -> None:
    host = Host(tmp_path)
    with host.service("sidecar"), host.service("web"):
        for url in (host.web_url, host.sidecar_url):
            wait_for(lambda url=url: is_ready(url), f"{url} is ready", 60)  # type: ignore[misc]
        assert requests.post(f"{host.web_url}/trade", json=TRADE, timeout=60).status_code == 401
        headers = {"Authorization": f"Bearer {host.make_token()}"}

        def is_accepted() -> bool:
            return requests.post(f"{host.web_url}/trade", json=TRADE, headers=headers, timeout=60).status_code == 201

        wait_for(is_accepted, "the token is known to the workers")

        def is_counted() -> bool:
            text = requests.get(f"{host.sidecar_url}/metrics", timeout=60).text
            return f'trading_trades_total{{side="BUY",symbol="{TRADE["symbol"]}"}} 1.0' in text

        wait_for(is_counted, "it is counted")
        with host.service("backup") as backup:
            backup.wait(60)
    (copy,) = (tmp_path / "state" / "backups").iterdir()
    with Journal(copy) as saved:
        assert saved.last_seq() == 1
    assert os.listdir(tmp_path / "credentials") == ["secret_key"]  # noqa: PTH208 - names are compared
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "state").iterdir() if path.is_file()} == {0}

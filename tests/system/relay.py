"""The real relay of a hub, beside its stack."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import requests

from common.credentials import READ, hash_token, make_token
from common.event import Event
from common.journal.credentials import Term, add_token
from common.journal.store import Journal
from common.timestamps import format_timestamp, now
from tests.conftest import ROOT
from tests.system.stack import Stack, free_ports


def find_journal(stack: Stack) -> Path:
    return Path(stack.settings["JOURNAL_PATH"])


def read_events(stack: Stack) -> list[Event]:
    """Read all trades of a stack."""
    with Journal(find_journal(stack)) as journal:
        return list(journal.read_after(0, 10_000_000))


def read_ids(stack: Stack) -> list[str]:
    """Read the ids of all trades of a stack."""
    return [event.id for event in read_events(stack)]


def make_tokens(hosts: Sequence[Stack], path: Path) -> Path:
    """Make a token for reading at each host, and write them all to a file."""
    path.touch(0o600)
    with path.open("w") as file:
        for host in hosts:
            token = make_token()
            with Journal(find_journal(host)) as journal:
                term = Term(format_timestamp(now()), None)
                add_token(journal, f"hub-{path.parent.name}", hash_token(token), frozenset({READ}), term)
            file.write(f"{host.web_url} {token}\n")
    return path


class RelayProcess:
    """``python -m relay`` with a command that runs until it is stopped."""

    def __init__(self, command: str, settings: Mapping[str, str], log: Path) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        self.environ = {**os.environ, **settings} | {"RELAY_HTTP_PORT": str(port)}
        self._command = self.make_command(command)
        self.process = self.start()

    @staticmethod
    def make_command(command: str) -> list[str]:
        return [sys.executable, "-m", "relay", command]

    def start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, cwd=ROOT, env=self.environ, stdout=log, stderr=log)
        return self.process

    def end(self, how: signal.Signals = signal.SIGKILL) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)

    def run_another(self, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run the command once more beside this one, on another port, until it ends."""
        environ = self.environ | {"RELAY_HTTP_PORT": "0"} | settings
        return subprocess.run(
            self._command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False
        )

    def is_ready(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.url}/readyz", timeout=20).status_code == 200
        return False

    def read_sample(self, name: str, *labels: str) -> float:
        """Read the sum of a metric's samples that have these labels, written as in the exposition."""
        lines = requests.get(f"{self.url}/metrics", timeout=20).text.splitlines()
        wanted = [
            line for line in lines if line.startswith((f"{name}{{", f"{name} ")) and all(x in line for x in labels)
        ]
        return sum(float(line.rpartition(" ")[2]) for line in wanted)


class Relay(RelayProcess):
    """``python -m relay pull`` from hosts over HTTP into the journal of a stack."""

    def __init__(self, hub: Stack, hosts: Sequence[Stack]) -> None:
        own = {
            "RELAY_HTTP_HOSTS": ",".join(host.web_url for host in hosts),
            "RELAY_TOKEN_FILE": str(make_tokens(hosts, hub.folder / "tokens")),
            "RELAY_POLL": "20ms",
        }
        super().__init__("pull", hub.settings | own, hub.folder / "relay.log")

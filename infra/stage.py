"""Starts and stops the staging stack: every part in containers, with secrets, a first user and a first token."""

import argparse
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from common.private_files import create
from common.settings import Settings
from infra import runbooks
from infra.image.build import write_command
from infra.stack import INFRA, has_engine, write_target

STAGE: Final = INFRA.parent / "var" / "stage"
SECRETS: Final = STAGE / "secrets"
IMAGE: Final = "trading-telemetry"
NAME: Final = "stage"
"""Of the first user and of the first token."""

_OWNER = "10001:10001"
_COMPOSE = ["docker", "compose", "--project-name", "trading-stage", "--file", str(INFRA / "compose.yml")]
_FLASK = ["run", "--rm", "--no-deps", "--no-TTY", "web", "flask", "--app", "webapp"]
_CERTIFICATE = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
_CERTIFICATE += ["-days", "365", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]


class StageError(Exception):
    """The staging stack is not running; the text says why."""


def make_files() -> list[str]:
    """Make the secrets and target files that are missing, and return the names of the new secrets."""
    SECRETS.mkdir(parents=True, exist_ok=True)
    SECRETS.chmod(0o700)
    made = []
    for name in ("secret_key", "sidecar_token"):
        if not (SECRETS / name).exists():
            token = secrets.token_urlsafe(32)
            _write(SECRETS / name, token)
            made.append(name)
            if name == "sidecar_token":
                # Prometheus is another user: it may read its copy, in a folder that no user of this host can enter.
                private = STAGE / "prometheus" / "private"
                private.mkdir(parents=True, exist_ok=True)
                private.chmod(0o700)
                _write(private / "sidecar.token", token)
                (private / "sidecar.token").chmod(0o644)
    if not (SECRETS / "trading.key").exists():
        if shutil.which("openssl") is None:
            raise StageError("openssl is missing, which makes the certificate")
        files = ["-keyout", str(SECRETS / "trading.key"), "-out", str(SECRETS / "trading.crt")]
        subprocess.run([*_CERTIFICATE, *files], check=True, capture_output=True, umask=0o077)
        # What clients check nginx by is no secret.
        shutil.copy(SECRETS / "trading.crt", STAGE / "trading.crt")
        (STAGE / "trading.crt").chmod(0o644)
        made.append("trading.key")
    write_target("targets", "sidecar:8001", var=STAGE)
    write_target("alertmanagers", "alertmanager:9093", var=STAGE)
    runbooks.write_page(STAGE / "prometheus" / "pages")
    return made


def _write(path: Path, text: str) -> None:
    with os.fdopen(create(path), "w") as file:
        file.write(f"{text}\n")


def up() -> None:
    """Build the image, make what is missing, start all and print what is new, once. Raises StageError."""
    if not has_engine():
        raise StageError("Docker with Compose is needed, and its engine must run: docker compose version; docker info")
    image = os.environ.get("TRADING_IMAGE", IMAGE)
    if image == IMAGE:
        _run(write_command("docker", IMAGE), cwd=INFRA.parent)
    if make_files():
        # By a container, since only root may give files away.
        volume = f"{SECRETS}:/secrets"
        chown = ["--user", "0:0", "--volume", volume, image, "chown", _OWNER, "/secrets/secret_key"]
        _run(["docker", "run", "--rm", *chown, "/secrets/sidecar_token"])
    made = _make_credentials()
    _compose("up", "--detach", "--wait")
    address = f"{os.environ.get('STAGE_ADDRESS', '127.0.0.1')}:{os.environ.get('STAGE_PORT', '8443')}"
    print(f"The desk: https://{address}   its certificate: var/stage/trading.crt")
    if not made:
        print("User and token are those that were shown when they were made.")


def _make_credentials() -> bool:
    """Make the first user and the first token where there are none, and show them; return whether any was made."""
    made = False
    if NAME not in _list("users"):
        password = secrets.token_urlsafe(18)
        _compose(*_FLASK, "users", "create", NAME, "--role", "trader", text=f"{password}\n")
        print(f"User: {NAME}   password, not shown again: {password}", flush=True)
        made = True
    if NAME not in _list("tokens"):
        scopes = ["--scope", "trade:write", "--scope", "trade:read"]
        token = _compose(*_FLASK, "tokens", "create", NAME, *scopes).strip()
        print(f"Token: {NAME}   not shown again: {token}", flush=True)
        made = True
    return made


def _list(what: str) -> set[str]:
    return {line.split()[0] for line in _compose(*_FLASK, what, "list").splitlines()[1:] if line.strip()}


def down() -> None:
    """Stop all; trades, collected data and secrets are kept. Raises StageError."""
    if not has_engine():
        raise StageError("No Docker engine with Compose is running.")
    _compose("down")


def _compose(*arguments: str, text: str = "") -> str:
    """Run a command of Compose for the stage, and return what it prints."""
    command = [*_COMPOSE, "--profile", "stage", *arguments]
    port = int(os.environ.get("PROMETHEUS_PORT", "9090"))
    grafana = f"http://127.0.0.1:{os.environ.get('GRAFANA_PORT', '3000')}"
    own = {"VAR": str(STAGE), "GRAFANA_WITHOUT_ADMIN": "true"}
    own |= {"RUNBOOK_URL": runbooks.find_url(Settings(), port), "GRAFANA_URL": grafana}
    return _run(command, text=text, env=os.environ | own)


def _run(command: Sequence[str], *, text: str = "", cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=False, cwd=cwd, env=env)
    if done.returncode != 0:
        raise StageError(f"{command[0]} {command[1]} failed with exit code {done.returncode}; see its message above.")
    return done.stdout


def main() -> int:
    """Run ``up`` or ``down``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("up", "down"))
    what = parser.parse_args().what
    try:
        (up if what == "up" else down)()
    except (StageError, OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

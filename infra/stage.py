"""Starts and stops the staging stack: every part in containers, with secrets, a first user and a first token.

With NATS there is a node besides, and the stage pushes its trades to it (docs/deploy.md).
"""

import argparse
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from common.private_files import create
from common.settings import Settings
from infra import runbooks
from infra.image.build import write_command
from infra.nats.certificates import make_certificates
from infra.nats.users import add_user
from infra.stack import INFRA, has_engine
from infra.targets import write_relay_target, write_target

STAGE: Final = INFRA.parent / "var" / "stage"
SECRETS: Final = STAGE / "secrets"
IMAGE: Final = "trading-telemetry"
NAME: Final = "stage"
"""Of the first user and of the first token."""

SETUP_TRIES: Final = 30
"""How often the stream is asked for, a second apart: a node that starts does not answer at once."""

_OWNER = "10001:10001"
_JOURNAL_ID = (
    "from common.journal.store import Journal; from common.settings import Settings; "
    "print(Journal(Settings.from_env().journal_path).journal_id)"
)
_COMPOSE = ["docker", "compose", "--project-name", "trading-stage", "--file", str(INFRA / "compose.yml")]
_ONCE = ["run", "--rm", "--no-deps", "--no-TTY"]
_FLASK = [*_ONCE, "web", "flask", "--app", "webapp"]
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
    write_target(STAGE, "targets", "sidecar:8001")
    write_target(STAGE, "alertmanagers", "alertmanager:9093")
    write_relay_target(STAGE, Settings(relay_transport="nats" if _has_nats() else "http"), "push")
    runbooks.write_page(STAGE / "prometheus" / "pages")
    return made


def _write(path: Path, text: str) -> None:
    with os.fdopen(create(path), "w") as file:
        file.write(f"{text}\n")


def _has_nats() -> bool:
    """Return whether the stage was started with NATS once: then it keeps it."""
    return (SECRETS / "relay.key").exists()


def up(*, nats: bool = False) -> None:
    """Build the image, make what is missing, start all and print what is new, once. Raises StageError."""
    if not has_engine():
        raise StageError("Docker with Compose is needed, and its engine must run: docker compose version; docker info")
    image = os.environ.get("TRADING_IMAGE", IMAGE)
    if image == IMAGE:
        _run(write_command("docker", IMAGE), cwd=INFRA.parent)
    if make_files():
        _give(image, "secret_key", "sidecar_token")
    made = _make_credentials()
    if nats:
        if not _has_nats():
            _make_relay_secrets(image)
        _make_stream()
    _compose("up", "--detach", "--wait")
    address = f"{os.environ.get('STAGE_ADDRESS', '127.0.0.1')}:{os.environ.get('STAGE_PORT', '8443')}"
    print(f"The desk: https://{address}   its certificate: var/stage/trading.crt")
    if not made:
        print("User and token are those that were shown when they were made.")


def _give(image: str, *names: str) -> None:
    """Give secrets to the image's user, by a container, since only root may give files away."""
    chown = ["--user", "0:0", "--volume", f"{SECRETS}:/secrets", image, "chown", _OWNER]
    _run(["docker", "run", "--rm", *chown, *(f"/secrets/{name}" for name in names)])


def _make_relay_secrets(image: str) -> None:
    """Make certificates of a node, and its users: an administrator, this host and a hub."""
    folder = STAGE / "nats"
    folder.mkdir(mode=0o700, exist_ok=True)
    authority, *_ = make_certificates(folder, ["nats", "localhost", "127.0.0.1"])
    journal_id = _compose(*_ONCE, "web", "python", "-c", _JOURNAL_ID).strip()
    hub = add_user(folder, "hub", "hub")
    own = add_user(folder, "host", NAME, journal_id)
    made = {"relay.ca": authority, "relay-admin.key": add_user(folder, "admin", "admin"), "relay.key.new": own}
    for name, path in made.items():
        (SECRETS / name).unlink(missing_ok=True)
        _write(SECRETS / name, path.read_text().strip())
    _give(image, *made)
    # Last, since with it the stage has NATS.
    (SECRETS / "relay.key.new").replace(SECRETS / "relay.key")
    print(f"The key for a hub: {hub.relative_to(INFRA.parent)}   its certificates: var/stage/nats/ca.pem")


def _make_stream() -> None:
    """Start the node, and make the stream, or compare it with the settings."""
    write_relay_target(STAGE, Settings(relay_transport="nats"), "push")
    _compose("up", "--detach", "--wait", "nats")
    for left in reversed(range(SETUP_TRIES)):
        try:
            print(_compose(*_ONCE, "stream"), end="")
        except StageError:
            if not left:
                raise
            time.sleep(1)
        else:
            break


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
    streams = _has_nats()
    profiles = ["stage", *(["nats", "push"] if streams else [])]
    command = [*_COMPOSE, *(word for each in profiles for word in ("--profile", each)), *arguments]
    port = int(os.environ.get("PROMETHEUS_PORT", "9090"))
    grafana = f"http://127.0.0.1:{os.environ.get('GRAFANA_PORT', '3000')}"
    own = {"VAR": str(STAGE), "GRAFANA_WITHOUT_ADMIN": "true"}
    own |= {"RUNBOOK_URL": runbooks.find_url(Settings(), port), "GRAFANA_URL": grafana}
    own |= {"RELAY_TRANSPORT": "nats", "RELAY_HTTP_HOST": "push"} if streams else {}
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
    parser.add_argument("--nats", action="store_true", help="with a node of NATS, to which the stage pushes")
    given = parser.parse_args()
    try:
        if given.what == "up":
            up(nats=given.nats)
        else:
            down()
    except (StageError, OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The steps of docs/deploy.md for a host with systemd, run as root on a copy of this host's files."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, require, require_program

# Who reads the page starts at an empty folder; here the environment is there already, and nothing is installed.
INSTALLS = ("python3 -m venv .venv", ".venv/bin/python -m pip install --require-hashes -r requirements.txt")

# What systemd does for a unit: its folder of state, and its own check. Most machines of tests run without systemd.
SYSTEMCTL = """#!/bin/sh -e
echo "$@" >> /systemctl.log
case "$1" in
    enable)
        for unit in trading-telemetry-sidecar trading-telemetry-web; do
            systemd-analyze verify --man=no "/etc/systemd/system/$unit.service"
            user=$(sed -n 's/^User=//p' "/etc/systemd/system/$unit.service")
            install -d -o "$user" -g "$user" -m 0700 /var/lib/trading-telemetry
        done;;
    daemon-reload) ;;
    *) exit 64;;
esac
"""

# The root of this host with all changes in memory; the checkout is where the units say.
SETUP = """
set -e
mount -t tmpfs tmpfs "$SCRATCH"
mkdir "$SCRATCH/upper" "$SCRATCH/work" "$SCRATCH/root"
root="$SCRATCH/root"
mount -t overlay overlay -o lowerdir=/,upperdir="$SCRATCH/upper",workdir="$SCRATCH/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir -p "$root/opt/trading-telemetry" "$root/usr/local/sbin"
mount --bind {checkout} "$root/opt/trading-telemetry"
# A host has no settings in the checkout, unlike one that develops.
[ ! -e {checkout}/.env ] || mount --bind /dev/null "$root/opt/trading-telemetry/.env"
{environment}
rm -f "$root/usr/bin/systemctl" "$root/bin/systemctl"
cp {systemctl} "$root/usr/local/sbin/systemctl"
chmod 0755 "$root/usr/local/sbin/systemctl"
exec chroot "$root" /bin/bash -euc {steps}
"""

LOOK = """
stat -c '%U %a %n' /etc/trading-telemetry /etc/trading-telemetry/secret_key /var/lib/trading-telemetry/journal.db
getent passwd trading
wc -c < /etc/trading-telemetry/secret_key
cat /systemctl.log
"""


def read_steps() -> list[str]:
    page = (ROOT / "docs" / "deploy.md").read_text().partition("\n## systemd\n")[2]
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    assert set(INSTALLS) <= set(lines)
    return [line for line in lines if line not in INSTALLS]


def test_the_steps_for_systemd_make_a_locked_host_and_a_token(tmp_path: Path) -> None:
    for program in ("unshare", "systemd-analyze", "runuser", "useradd"):
        require_program(program)
    require("root" if os.geteuid() == 0 else None, "root, which these steps need,")
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    allowed = subprocess.run([*unshare, "true"], capture_output=True, check=False)
    if allowed.returncode != 0:
        pytest.skip(f"the kernel does not allow namespaces here: {allowed.stderr.decode()}")
    (tmp_path / "scratch").mkdir()
    (tmp_path / "systemctl").write_text(SYSTEMCTL)
    # The environment and its Python may be in folders that only root can enter, unlike those of a host.
    needed = {folder for path in (ROOT / ".venv", Path(sys.executable)) for folder in path.resolve().parents}
    lines = [f"chmod o+x $root{shlex.quote(str(folder))}" for folder in needed]
    setup = SETUP.format(
        checkout=shlex.quote(str(ROOT)),
        environment="\n".join(lines),
        systemctl=shlex.quote(str(tmp_path / "systemctl")),
        steps=shlex.quote("\n".join(["cd /opt/trading-telemetry", *read_steps(), LOOK])),
    )
    environ = {"PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "SCRATCH": str(tmp_path / "scratch")}
    done = subprocess.run([*unshare, "sh", "-c", setup], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    token, *found = done.stdout.splitlines()
    assert token.startswith("tt_")
    assert found[:3] == [
        "root 700 /etc/trading-telemetry",
        "root 600 /etc/trading-telemetry/secret_key",
        "trading 600 /var/lib/trading-telemetry/journal.db",
    ]
    assert found[3].endswith(":/var/lib/trading-telemetry:/usr/sbin/nologin")
    assert found[4] == "44"
    assert found[5:] == ["daemon-reload", "enable --now trading-telemetry-sidecar trading-telemetry-web"]

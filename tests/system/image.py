"""Builds the image for the tests: ``python -m tests.system.image``, a process of its own that can be ended whole.

A base made from Debian's packages stands in for the pinned one: same release, and like that one without documentation.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.conftest import ROOT

BASE: Final = "localhost/trading-telemetry-base"
TAG: Final = "localhost/trading-telemetry-test"
IMAGE_PROGRAMS: Final = ("mmdebstrap", "buildah", "podman", "runc")
NOT_ALLOWED: Final = 77
"""The exit code when the kernel does not allow containers here."""

# The limits of this process may be lower than the ones that podman would set.
_LIMITS = ["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=1024:1024"]
# The health check is called by hand: podman's timer needs systemd.
PLAIN: Final = ["--runtime", "runc", "--no-healthcheck", "--network", "host", *_LIMITS]

# As in the pinned base: no documentation, and dpkg does not wait for the disk.
_UNUSED = " ".join(f'"$1"/usr/share/{name}/*' for name in ("doc", "man", "locale"))
_MAKE_BASE: Final = [
    *("mmdebstrap", "--mode=root", "--variant=minbase", "--include=ca-certificates,python3,usr-is-merged"),
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    *("--dpkgopt=force-unsafe-io", f"--customize-hook=rm -rf {_UNUSED}"),
    "--customize-hook=copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs",
    *("bookworm", "-"),
]
_IMPORT: Final = ["podman", "import", "--quiet", "-", BASE]
_BUILD: Final = [sys.executable, "-m", "infra.image.build", "--tool", "buildah", "--tag", TAG, "--"]


def make_base() -> None:
    """Import Debian's base system as an image, with the certificates of this machine. Raises CalledProcessError."""
    with subprocess.Popen(_MAKE_BASE, stdout=subprocess.PIPE) as made:
        subprocess.run(_IMPORT, stdin=made.stdout, check=True)
    if made.returncode != 0:
        raise subprocess.CalledProcessError(made.returncode, _MAKE_BASE)


def start_build(log: Path) -> subprocess.Popen[bytes]:
    """Start the build; its output is in ``log``."""
    command = [sys.executable, "-m", "tests.system.image"]
    with log.open("wb") as file:
        return subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file, start_new_session=True)


def end_build(build: subprocess.Popen[bytes]) -> None:
    """End the build, and remove its images."""
    if build.poll() is None:
        os.killpg(build.pid, signal.SIGTERM)
        build.wait(60)
    subprocess.run(["podman", "rmi", "--force", TAG, BASE], capture_output=True, check=False)


def main() -> int:
    """Build base and image; return ``NOT_ALLOWED`` when containers cannot run here."""
    make_base()
    if subprocess.run(["podman", "run", "--rm", *PLAIN, BASE, "true"], check=False).returncode != 0:
        return NOT_ALLOWED
    # The two stages at the same time.
    build = [*_BUILD, "--isolation", "chroot", "--jobs", "2", "--build-arg", f"BASE={BASE}"]
    return subprocess.run(build, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

"""Builds the image with Docker, Podman or Buildah, whichever is there."""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from common import __version__

ROOT: Final = Path(__file__).resolve().parent.parent.parent
DOCKERFILE: Final = Path("infra/image/Dockerfile")

# Docker's format, since that of OCI has no HEALTHCHECK.
_TOOLS: Final = {
    "docker": ["docker", "build"],
    "podman": ["podman", "build", "--format", "docker", "--ignorefile", f"{DOCKERFILE}.dockerignore"],
    "buildah": ["buildah", "build", "--format", "docker", "--ignorefile", f"{DOCKERFILE}.dockerignore"],
}


class BuildError(Exception):
    """The image was not built; the text says why."""


def find_tool() -> str:
    """Return the first of the tools that works here. Raises BuildError."""
    for tool in _TOOLS:
        # The docker command alone is not enough: its engine must answer.
        if shutil.which(tool) and subprocess.run([tool, "info"], capture_output=True, check=False).returncode == 0:
            return tool
    raise BuildError("No Docker engine, Podman or Buildah works here; on Debian: apt-get install buildah")


def write_command(tool: str, tag: str, arguments: Sequence[str] = ()) -> list[str]:
    """Write the command that builds the image; ``arguments`` are the tool's own."""
    labels = ["--build-arg", f"VERSION={__version__}", "--build-arg", f"REVISION={_read_revision()}"]
    return [*_TOOLS[tool], *labels, *arguments, "--file", str(DOCKERFILE), "--tag", tag, "."]


def _read_revision() -> str:
    """Return the commit of this checkout, or ``unknown`` outside of git."""
    if shutil.which("git") is None:
        return "unknown"
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def main() -> int:
    """Build the image; return the exit code of the tool."""
    parser = argparse.ArgumentParser(prog="python -m infra.image.build", description=__doc__)
    parser.add_argument("--tool", choices=list(_TOOLS), help="default: the first that works here")
    parser.add_argument("--tag", default="trading-telemetry", help="default: %(default)s")
    parser.add_argument("arguments", nargs="*", help="more arguments for the tool, after --")
    options = parser.parse_args()
    try:
        command = write_command(options.tool or find_tool(), options.tag, options.arguments)
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

"""Makes a release: checks tag, changelog, lock files and tests, then builds archive, image and their checksums."""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from common import __version__
from infra.image.build import BuildError, find_tool, write_command

ROOT: Final = Path(__file__).resolve().parent.parent
LOCKS: Final = ("requirements", "requirements-dev")
SUMS: Final = "SHA256SUMS"
COMPILE: Final = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"]


def find_faults(root: Path, version: str) -> Iterator[str]:
    """Yield what has to be put right before the commit that is checked out can be released as ``version``."""
    if _git(root, "status", "--porcelain"):
        yield "the checkout has changes: commit them first"
    tags = _git(root, "tag", "--points-at", "HEAD").split()
    if f"v{version}" not in tags:
        yield f"the tag v{version} is not on this commit (common/__init__.py has the version): git tag v{version}"
    changelog = (root / "CHANGELOG.md").read_text()
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d{{2}}-\d{{2}}$", changelog, re.MULTILINE):
        yield f'CHANGELOG.md has no section "## [{version}] - YYYY-MM-DD"'


def find_stale_locks(root: Path) -> Iterator[str]:
    """Yield the lock files that are not what the .in files ask for, at the versions that they have."""
    with tempfile.TemporaryDirectory() as folder:
        for name in LOCKS:
            lock, copy = root / f"{name}.txt", Path(folder) / f"{name}.txt"
            shutil.copy(lock, copy)
            command = [*COMPILE, "--no-header", f"{name}.in", "-o", str(copy)]
            subprocess.run(command, cwd=root, check=True)
            if copy.read_text() != lock.read_text():
                yield f"{lock.name} does not match {name}.in: make lock"


def write_archive(root: Path, version: str, folder: Path) -> Path:
    """Write the files of this commit as an archive."""
    name = f"trading-telemetry-{version}"
    archive = folder / f"{name}.tar.gz"
    _git(root, "archive", "--format=tar.gz", f"--prefix={name}/", f"--output={archive}", "HEAD")
    return archive


def write_image(root: Path, version: str, folder: Path) -> Path:
    """Build the image and save it to a file. Raises BuildError and CalledProcessError."""
    tool, tag = find_tool(), f"trading-telemetry:{version}"
    subprocess.run(write_command(tool, tag), cwd=root, check=True)
    image = folder / f"trading-telemetry-{version}-image.tar"
    save = ["buildah", "push", tag, f"docker-archive:{image}:{tag}"]
    subprocess.run(save if tool == "buildah" else [tool, "save", "--output", str(image), tag], check=True)
    return image


def write_sums(folder: Path) -> None:
    """Write the checksum of each file, as ``sha256sum --check`` reads them."""
    files = sorted(path for path in folder.iterdir() if path.name != SUMS)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / SUMS).write_text("".join(lines))


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout


def main() -> int:
    """Release the commit that is checked out into ``dist/``; return 1 when it cannot be."""
    faults = [*find_faults(ROOT, __version__)] or [*find_stale_locks(ROOT)]
    for fault in faults:
        sys.stderr.write(f"not released: {fault}\n")
    if faults:
        return 1
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir()
    try:
        subprocess.run(["bash", ".ci/run"], cwd=ROOT, check=True)
        write_archive(ROOT, __version__, dist)
        write_image(ROOT, __version__, dist)
    except (BuildError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"not released: {error}\n")
        return 1
    write_sums(dist)
    print(f"dist/ has release {__version__}; push the tag, and the workflow publishes it")
    return 0


if __name__ == "__main__":
    sys.exit(main())

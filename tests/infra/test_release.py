"""A release is made of a commit that is tagged and described; the workflows are those of the hosted CI."""

import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.release import SUMS, find_faults, write_archive, write_sums
from tests.conftest import ROOT, require_program

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
VERSION = "1.2.3"


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Release", "-c", "user.email=release@example.com"]
    subprocess.run([require_program("git"), *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-11-27\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "First")
    git(tmp_path, "tag", f"v{VERSION}")
    return tmp_path


def test_a_tagged_and_described_commit_can_be_released(checkout: Path) -> None:
    assert list(find_faults(checkout, VERSION)) == []


def test_each_fault_says_what_to_do(checkout: Path) -> None:
    (checkout / "new").touch()
    changes, tag, changelog = find_faults(checkout, "1.2.4")
    assert "commit them first" in changes
    assert "git tag v1.2.4" in tag
    assert '"## [1.2.4] - YYYY-MM-DD"' in changelog
    (checkout / "new").unlink()
    git(checkout, "commit", "--quiet", "--allow-empty", "--message", "Later")
    assert ["v1.2.3 is not on this commit" in fault for fault in find_faults(checkout, VERSION)] == [True]


def test_the_archive_has_the_files_of_the_commit_and_its_checksum_holds(checkout: Path, tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    dist.mkdir()
    archive = write_archive(checkout, VERSION, dist)
    with tarfile.open(archive) as files:
        assert "trading-telemetry-1.2.3/CHANGELOG.md" in files.getnames()
    write_sums(dist)
    check = [require_program("sha256sum"), "--check", "--strict", SUMS]
    subprocess.run(check, cwd=dist, check=True, capture_output=True)
    archive.write_bytes(archive.read_bytes() + b"x")
    assert subprocess.run(check, cwd=dist, check=False, capture_output=True).returncode == 1


def read_commands(path: Path) -> list[str]:
    jobs: dict[str, Any] = yaml.safe_load(path.read_text())["jobs"]
    return [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]


def test_the_workflows_run_what_the_repository_has() -> None:
    commands = " ".join(command for path in WORKFLOWS for command in read_commands(path))
    assert "bash .ci/run" in commands
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake (\S+)", commands):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for lock in re.findall(r"--requirement (\S+)", commands):
        assert (ROOT / lock).exists()
    matrix = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["check"]["strategy"]["matrix"]
    assert matrix == {"python": ["3.11", "3.12", "3.13", "3.14"]}


def test_a_workflow_may_write_only_where_it_publishes() -> None:
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {"contents": "read"}
        writers = [name for name, job in workflow["jobs"].items() if "permissions" in job]
        assert writers == (["publish"] if path.stem == "release" else [])


def test_actionlint_finds_nothing() -> None:
    command = [require_program("actionlint"), *map(str, WORKFLOWS)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")

"""The programs that are compared: this checkout, and another commit in a worktree of its own."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.measure import BEFORE, OURS
from tests.conftest import ROOT


@contextlib.contextmanager
def check_out(commit: str | None) -> Iterator[dict[str, Path]]:
    """Yield the checkouts by subject: this one, and with a commit also that one, with the same ``.venv``.

    Raises CalledProcessError for a commit that does not exist.
    """
    if commit is None:
        yield {OURS: ROOT}
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / BEFORE
        _git("worktree", "add", "--quiet", "--detach", str(path), commit)
        try:
            (path / ".venv").symlink_to((ROOT / ".venv").resolve())
            yield {OURS: ROOT, BEFORE: path}
        finally:
            _git("worktree", "remove", "--force", str(path))


def describe_commit(commit: str) -> str:
    """Return the short name of a commit, with a word when the checkout has other changes."""
    return _git("describe", "--always", "--exclude=*", *(["--dirty= with changes"] if commit == "HEAD" else [commit]))


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()

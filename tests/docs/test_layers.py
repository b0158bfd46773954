"""The rooms and their arrows: who may import whom, and what is used in one place only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

ROOMS = ("common", "webapp", "sidecar")
MODULES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found.add(node.module or "")
    return found


def users(package: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in MODULES
        if any(name.partition(".")[0] == package for name in imports(path))
    }


def packages(room: str) -> Iterator[str]:
    for path in (ROOT / room).rglob("*.py"):
        yield from (name.partition(".")[0] for name in imports(path))


@pytest.mark.parametrize(
    ("room", "closed"),
    [
        ("common", {"webapp", "sidecar", "flask", "prometheus_client", "gevent", "gunicorn"}),
        ("webapp", {"sidecar", "zmq", "sqlite3"}),
        ("sidecar", {"webapp", "flask", "gevent", "zmq", "sqlite3"}),
    ],
)
def test_arrows_point_to_the_tape_and_nowhere_else(room: str, closed: set[str]) -> None:
    assert closed.isdisjoint(packages(room))


@pytest.mark.parametrize(
    ("package", "place"),
    [
        ("sqlite3", "common/journal/file.py"),
        ("zmq", "common/wire/transport.py"),
        ("gevent", "webapp/concurrency.py"),
        ("marshmallow", "webapp/input/schemas.py"),
        ("requests", "webapp/cli/client.py"),
    ],
)
def test_a_library_is_used_in_one_place(package: str, place: str) -> None:
    allowed = {place}
    if package == "marshmallow":
        # They answer what the schema refuses.
        allowed |= {"webapp/routes/desk.py", "webapp/middleware/problems.py", "webapp/routes/blotter.py"}
        allowed |= {"webapp/input/fields.py", "webapp/input/query.py"}
    if package == "gevent":
        # gunicorn's worker takes a server of gevent's.
        allowed.add("webapp/server/worker.py")
    assert users(package) == allowed


def test_the_environment_is_read_in_one_place() -> None:
    readers = {str(path.relative_to(ROOT)) for path in MODULES if "os.environ" in path.read_text()}
    assert readers == {"common/settings.py"}
    assert not any("getenv" in path.read_text() for path in MODULES)


def test_threads_start_in_the_daemon() -> None:
    starters = {str(path.relative_to(ROOT)) for path in MODULES if "Thread(" in path.read_text()}
    # The web's one is a greenlet under gevent.
    assert starters == {"sidecar/daemon.py", "webapp/concurrency.py"}


def test_no_module_grows_past_two_ideas() -> None:
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert {path: lines for path, lines in long.items() if lines > 250} == {}

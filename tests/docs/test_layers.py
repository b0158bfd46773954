"""The layers: which package and which folder may import which, and which module uses which library."""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("common", "webapp", "sidecar", "relay")
MODULES = {str(path.relative_to(ROOT)): path for each in PACKAGES for path in sorted((ROOT / each).rglob("*.py"))}

FACTORY = "webapp/__init__.py"
"""``create_app`` puts the parts of the web application together, so it is a layer of its own, above its folder."""

LAYERS = {
    "common": set(),
    "common/wire": {"common"},
    "common/journal": {"common", "common/wire"},
    "common/serving": {"common"},
    "webapp": {"common", "common/journal", "common/wire"},
    "webapp/input": {"common", "common/journal"},
    "webapp/middleware": {"common", "webapp", "webapp/input"},
    "webapp/routes": {"common", "common/journal", "common/wire", "webapp", "webapp/input", "webapp/middleware"},
    "webapp/server": {"common", "webapp", "webapp/middleware"},
    "webapp/cli": {"common", "common/journal", "webapp/input"},
    FACTORY: {"common", "webapp", "webapp/cli", "webapp/middleware", "webapp/routes"},
    "sidecar": {"common", "common/journal", "common/serving", "common/wire"},
    "relay": {"common", "common/journal", "common/serving"},
}
"""The folders from the bottom up, and what each imports: only folders above it in this table."""

SEVERAL_MODULES = {
    ("common", "msgspec"): (("common/",), "types that are decoded are declared where they belong"),
    ("relay", "msgspec"): (
        ("relay/chain.py", "relay/http_host.py", "relay/message.py"),
        "one declares what a page is, one decodes it, and one is what a message is",
    ),
    ("relay", "nats"): (
        ("relay/broker.py", "relay/stream_reader.py"),
        "one sends requests, and one takes the messages that come",
    ),
    ("relay", "prometheus_client"): (
        ("relay/collector.py", "relay/stream_collector.py"),
        "each transport has its own families",
    ),
    ("sidecar", "msgspec"): (("sidecar/",), "types that are decoded are declared where they belong"),
    ("webapp", "msgspec"): (
        (
            "webapp/cli/",
            "webapp/input/",
            "webapp/middleware/json_pages.py",
            "webapp/openapi.py",
            "webapp/counting.py",
            "webapp/positions.py",
            "webapp/routes/hooks.py",
            "webapp/routes/trade_batch.py",
            "webapp/routes/trades.py",
            "webapp/summaries.py",
            "webapp/symbols.py",
        ),
        "trades are decoded and digested where they come in, five write answers, and one describes types",
    ),
    ("sidecar", "prometheus_client"): (("sidecar/",), "each collector makes its own families"),
    ("webapp", "prometheus_client"): (
        (
            "webapp/worker_metrics.py",
            "webapp/totals.py",
            "webapp/routes/health.py",
            "webapp/cli/audit.py",
            "webapp/cli/relay_checks.py",
            "webapp/cli/sidecar_checks.py",
        ),
        "one declares, one reads what was declared, one exposes, three read an exposition",
    ),
    ("webapp", "flask"): (("webapp/",), "it is the framework"),
    ("webapp", "werkzeug"): (("webapp/",), "it is the framework's own layer for HTTP"),
    ("webapp", "click"): (("webapp/cli/",), "each command is a module"),
    ("webapp", "marshmallow"): (
        (
            "webapp/cli/trade_rows.py",
            "webapp/input/batch.py",
            "webapp/input/fields.py",
            "webapp/input/form.py",
            "webapp/input/hook_payload.py",
            "webapp/input/schemas.py",
            "webapp/input/strict_schema.py",
            "webapp/input/query.py",
            "webapp/middleware/problems.py",
            "webapp/openapi.py",
            "webapp/routes/blotter.py",
            "webapp/routes/trade_form.py",
        ),
        "fields and schemas are apart, and what a schema rejects is answered by an error handler or a page",
    ),
    ("webapp", "flask_wtf"): (
        ("webapp/input/form.py", "webapp/middleware/auth.py", "webapp/routes/sign_in.py"),
        "two declare forms, and one checks the token of requests without a form",
    ),
    ("webapp", "wtforms"): (
        ("webapp/input/form.py", "webapp/middleware/auth.py", "webapp/routes/sign_in.py"),
        "the fields of the forms, and the error of their token",
    ),
    ("webapp", "gevent"): (
        ("webapp/concurrency.py", "webapp/server/worker.py"),
        "gunicorn's worker class takes a gevent server",
    ),
    ("webapp", "gunicorn"): (
        ("webapp/input/json_body.py", "webapp/server/malformed.py", "webapp/server/worker.py"),
        "its parser's errors are caught where a body is read and where a request is rejected; one is its worker class",
    ),
    ("webapp", "uuid_utils"): (
        (
            "webapp/worker_metrics.py",
            "webapp/middleware/access_log.py",
            "webapp/routes/trade_form.py",
            "webapp/server/connections.py",
        ),
        "an id is made where the thing that it names is made",
    ),
}
"""Libraries that more than one module of a package uses: those modules, or their folder, and the reason."""


def read_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{path} imports relatively"
            assert node.level == 0, f"{path} imports relatively"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if find_module(name) else node.module


def find_module(name: str) -> str | None:
    stem = name.replace(".", "/")
    return next((path for path in (f"{stem}.py", f"{stem}/__init__.py") if path in MODULES), None)


def get_layer(module: str) -> str:
    return module if module == FACTORY else str(Path(module).parent)


def get_library(name: str) -> str:
    return name.partition(".")[0]


IMPORTS = {module: set(read_imports(path)) for module, path in MODULES.items()}


def list_users() -> dict[tuple[str, str], set[str]]:
    users = defaultdict(set)
    for module, names in IMPORTS.items():
        for library in set(map(get_library, names)) - set(PACKAGES):
            users[get_library(module.replace("/", ".")), library].add(module)
    return users


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("common", {"webapp", "sidecar", "relay", "flask", "prometheus_client", "gevent", "gunicorn"}),
        ("webapp", {"sidecar", "relay", "zmq", "sqlite3"}),
        ("relay", {"webapp", "sidecar", "flask", "gevent", "zmq", "sqlite3"}),
        ("sidecar", {"webapp", "relay", "flask", "gevent", "zmq", "sqlite3"}),
    ],
)
def test_a_package_imports_none_that_it_must_not(package: str, forbidden: set[str]) -> None:
    found = {module: names for module, names in IMPORTS.items() if module.startswith(f"{package}/")}
    assert {module: bad for module, names in found.items() if (bad := forbidden & set(map(get_library, names)))} == {}


def test_folders_import_only_the_folders_of_the_table() -> None:
    arrows: dict[str, set[str]] = {get_layer(module): set() for module in MODULES}
    for module, names in IMPORTS.items():
        targets = {get_layer(target) for target in map(find_module, names) if target}
        arrows[get_layer(module)] |= targets - {get_layer(module)}
    assert arrows == LAYERS


def test_no_arrow_between_folders_points_back() -> None:
    below: set[str] = set()
    for folder, targets in LAYERS.items():
        assert targets <= below, f"{folder} imports {sorted(targets - below)}"
        below.add(folder)


def test_a_library_is_used_in_one_module_of_a_package() -> None:
    users = {
        where: modules
        for where, modules in list_users().items()
        if len(modules) > 1 and (where[1] not in sys.stdlib_module_names or where[1] == "sqlite3")
    }
    unlisted = {
        where: modules
        for where, modules in users.items()
        if not all(module.startswith(SEVERAL_MODULES.get(where, ((), ""))[0]) for module in modules)
    }
    assert unlisted == {}
    listed = {(where, path) for where, (paths, _) in SEVERAL_MODULES.items() for path in paths}
    unused = {(w, path) for w, path in listed if not any(m.startswith(path) for m in users.get(w, ()))}
    assert unused == set()


@pytest.mark.parametrize(
    ("package", "library", "module"),
    [
        ("common", "sqlite3", "common/journal/file.py"),
        ("common", "zmq", "common/wire/transport.py"),
        ("webapp", "requests", "webapp/cli/client.py"),
        ("webapp", "cachetools", "webapp/sharing.py"),
    ],
)
def test_a_library_is_used_in_the_module_that_is_for_it(package: str, library: str, module: str) -> None:
    assert list_users()[package, library] == {module}


def test_the_environment_is_read_in_the_settings() -> None:
    readers = {module for module, path in MODULES.items() if "os.environ" in path.read_text()}
    # The second one looks for the variable that honcho gives to its processes; it is not a setting.
    assert readers == {"common/settings.py", "common/supervisor.py"}
    assert not any("getenv" in path.read_text() for path in MODULES.values())


def test_threads_start_in_two_modules() -> None:
    starters = {module for module, path in MODULES.items() if "Thread(" in path.read_text()}
    # Under gevent the second one starts a greenlet.
    assert starters == {"common/serving/threads.py", "webapp/concurrency.py"}


def test_a_module_has_at_most_250_lines() -> None:
    lines = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert {module: count for module, count in lines.items() if count > 250} == {}

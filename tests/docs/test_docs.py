"""The docs match the code: settings, routes, metrics, alerts, log messages, paths and links; the README is short."""

import ast
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from dotenv import dotenv_values
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from common.event import TRADE_FIELDS
from common.journal.disk import DiskUsage
from common.journal.store import Journal
from common.replica import ReplicaTimes
from common.settings import Settings
from common.wire.messages import BAD_MESSAGE_REASONS, RANGE, TOTALS, TRADES
from infra.grafana.dashboard import FILES
from relay import puller
from relay.collector import RelayCollector
from relay.puller import HostStatus
from relay.stream_collector import StreamCollector
from relay.stream_status import REASONS as STREAM_REASONS
from relay.stream_status import StreamStatus
from sidecar.collector import Sight, StateCollector
from sidecar.counters import Counters
from sidecar.series_start import SeriesStarts
from sidecar.snapshot import Snapshots
from sidecar.state import State
from tests.conftest import JOURNAL_ID, ROOT, make_event, receive_hints
from tests.docs.test_layers import LAYERS, MODULES
from tests.system.faults.faults import FAULTS
from webapp import create_app
from webapp.input.form import TradeForm
from webapp.input.schemas import TradeSchema
from webapp.reasons import COMMON_REASONS, ROUTE_REASONS
from webapp.worker_metrics import WorkerMetrics

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
RECORDS = sorted((DOCS / "decisions").glob("*.md"))
RULES = ROOT / "infra" / "prometheus" / "rules"

PATH = r"(?<![\w./*<{-])((?:[\w-]+/)*[\w-]+/|(?:[\w-]+/)+[\w.-]+\.[a-z]+|[\w.-]+\.(?:js|py|yml|toml))(?![\w/*<{-])"
"""A path in backticks: a folder, a file in a folder, or a file of source code."""

MADE = ("var/", "dist/", *(kind.decode()[:-1] for kind in (TRADES, RANGE, TOTALS)))
"""The folders that are made by the product and by a release, and the kinds of messages, which look like folders."""

SOURCE = (
    r"\b(?:bench|common|docs|infra|sidecar|static|templates|tests|webapp)/[\w./-]*\w\.(?:css|js|json|md|py|svg|yml)\b"
)
"""A file of the repository, with or without backticks."""

STATUS = (
    r"Status: (?:accepted|superseded by \d{4}|accepted, superseded in part by \d{4}(?: and \d{4})?) · "
    r"Date: \d{4}-\d{2}-\d{2}"
)


def read_page(page: Path) -> str:
    """Read a page without the old names in the changelog, written as "`old` is `new`"."""
    return re.sub(r"`[^`]+` is\s+`", "`", page.read_text())


def write_default(value: object) -> str:
    if value is None:
        return ""
    return ",".join(value) if isinstance(value, tuple | dict) else str(value)


REASONS = {reason.name for reason in ROUTE_REASONS}

DEFAULTS = {field.name.upper(): write_default(getattr(Settings(), field.name)) for field in fields(Settings)}


def test_the_sample_has_every_setting_at_its_default_and_quoted() -> None:
    sample = dotenv_values(ROOT / ".env.sample")
    assert sample == DEFAULTS | {"SECRET_KEY": "replace-me"}
    for line in (ROOT / ".env.sample").read_text().splitlines():
        assert not line or line.startswith("#") or re.fullmatch(r'[A-Z_]+="[^"]*"', line)


def test_the_settings_page_has_every_setting_with_its_default() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| `([^`]*)` \|", (DOCS / "settings.md").read_text(), re.MULTILINE)
    assert {name: "" if default == '""' else default for name, default in rows} == DEFAULTS


def exposed_names() -> set[str]:
    state = State(JOURNAL_ID)
    state.receive(receive_hints([make_event(1)], 0.0), Settings())
    metrics = WorkerMetrics()
    metrics.count_request("GET", "/", 200, 0.1, "r")
    state.observed.workers.update(metrics.snapshot())
    sight = Sight(
        Counters(state),
        Snapshots(Path()),
        lambda: (1, DiskUsage(1, 1, 1)),
        list,
        read_backup=float,
        read_replica=lambda: ReplicaTimes(1, 1),
    )
    sight.snapshots.observed = state.observed
    registry = CollectorRegistry()
    registry.register(StateCollector(sight, SeriesStarts()))
    registry.register(RelayCollector([HostStatus("https://a", JOURNAL_ID)], {"token": 0}))
    streams = CollectorRegistry()
    streams.register(StreamCollector(StreamStatus("push", "nats://a", differs={"discard": False}), {"token": 0}))
    families = itertools.chain.from_iterable(
        text_string_to_metric_families(generate_latest(each).decode()) for each in (registry, streams)
    )
    return {family.name + ("_total" if family.type == "counter" else "") for family in families}


def test_the_metrics_page_has_every_metric() -> None:
    page = (DOCS / "metrics.md").read_text()
    assert {name for name in exposed_names() if f"`{name}`" not in page} == set()
    for reason in (*BAD_MESSAGE_REASONS, *puller.REASONS, *STREAM_REASONS):
        assert f"`{reason}`" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_metric_that_is_not_exposed(page: Path) -> None:
    named = set(re.findall(r"(?<!:)\b(?:trading|sidecar|webapp|relay)_[a-z_]+[a-z]\b", read_page(page)))
    known = {name + suffix for name in exposed_names() for suffix in ("", "_bucket", "_sum", "_count")}
    settings = {name.lower() for name in DEFAULTS}
    assert named - known - settings - {"trading_session"} - REASONS == set()


def test_every_field_of_a_trade_is_documented_accepted_stored_and_shown(tmp_path: Path) -> None:
    for page in ("api.md", "wire.md"):
        rows = [line.split("|")[1] for line in (DOCS / page).read_text().splitlines() if line.startswith("| `")]
        assert set(TRADE_FIELDS) <= {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert set(TradeSchema().fields) == set(TRADE_FIELDS)
    with create_app(Settings(secret_key="s" * 32)).test_request_context():
        assert {field.name for field in TradeForm()} >= set(TRADE_FIELDS)
    blotter = (ROOT / "templates" / "blotter" / "index.html").read_text()
    shown = next(line for line in blotter.splitlines() if "set columns" in line)
    assert {name for name in TRADE_FIELDS if f'"{name}"' not in shown} == set()
    with Journal(tmp_path / "journal.db") as journal:
        columns = [name for (name,) in journal.query("SELECT name FROM pragma_table_xinfo('trades')")]
    assert set(columns) == {"seq", "id", "accepted_at", "own_ts", *TRADE_FIELDS}


def test_the_api_page_has_every_route() -> None:
    page = (DOCS / "api.md").read_text()
    app = create_app(Settings(secret_key="s" * 32))
    for rule in app.url_map.iter_rules():
        if rule.endpoint != "static":
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                assert f"`{method} {rule.rule}`" in page
    for route in ("/", "/metrics", "/healthz", "/readyz"):
        assert f"`GET {route}`" in page


def test_the_api_page_has_every_reason() -> None:
    page = (DOCS / "api.md").read_text()
    rows = re.findall(r"^\| (\d{3}) \| ((?:`\w+…?` ?)+)\|", page[page.index("## Errors") :], re.MULTILINE)
    listed = {(status, name.rstrip("_…")) for status, names in rows for name in re.findall(r"`([^`]+)`", names)}
    before = page[page.index("Three answers are sent before") : page.index("A malformed request")]
    listed |= {*re.findall(r"(\d{3}) `(\w+)`", before), ("503", "file_descriptors")}
    known = {(str(reason.status), reason.name) for reason in (*ROUTE_REASONS, *COMMON_REASONS)}
    assert listed == known | {("405", "method_not_allowed")}


def test_the_wire_page_names_the_kinds_their_versions_and_every_reason() -> None:
    page = (DOCS / "wire.md").read_text()
    for word in (TRADES.decode(), TOTALS.decode(), *BAD_MESSAGE_REASONS):
        assert f"`{word}`" in page


def test_the_infra_page_names_every_alert_and_dashboard_row() -> None:
    page = (DOCS / "infra.md").read_text()
    alerts = [rule["alert"] for rule in yaml.safe_load((RULES / "alerts.yml").read_text())["groups"][0]["rules"]]
    (line,) = re.findall(r"^Alerts, on symptoms: (.*)$", page, re.MULTILINE)
    assert re.findall(r"`(\w+)`", line.partition(".")[0]) == alerts
    panels = [panel for path in FILES for panel in json.loads(path.read_text())["panels"]]
    assert [panel["title"] for panel in panels if panel["type"] == "row" and f"| {panel['title']} |" not in page] == []


def log_messages() -> Iterator[str]:
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and "log" in ast.unparse(node.func).lower():
                texts = [each.value for each in node.args if isinstance(each, ast.Constant)]
                yield from (text for text in texts if isinstance(text, str))


def test_the_operations_page_lists_log_messages_that_exist() -> None:
    page = (DOCS / "operations.md").read_text()
    table = page[page.index("| message | level |") : page.index("Under honcho each line")]
    cells = [line.split(" | ")[0] for line in table.splitlines()[2:] if line]
    listed = {text for cell in cells for text in re.findall(r"`([^`]+)`", cell)}
    assert listed
    assert listed - set(log_messages()) == set()


def test_the_architecture_page_has_the_folders_and_their_arrows() -> None:
    page = (DOCS / "architecture.md").read_text()
    table = page[page.index("| folder | imports |") : page.index("## The flow of a trade")]
    rows = [re.findall(r"`([^`]+)`", line) for line in table.splitlines()[2:] if line]
    assert [(folder, set(targets)) for folder, *targets in rows] == list(LAYERS.items())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_exists(page: Path) -> None:
    text = read_page(page)
    quoted = [each for each in re.findall(r"`([^`\n]+)`", text) if "://" not in each]
    paths = {path for each in quoted for path in re.findall(PATH, each) if not path.startswith(MADE)}
    paths |= set(re.findall(SOURCE, text))
    bare = {path for path in paths if "/" not in path}
    known = {path.name for path in [*ROOT.glob("*"), *ROOT.glob("static/desk/*"), *MODULES.values()]}
    assert {path for path in paths - bare if not (ROOT / path).exists()} == set()
    assert {path for path in bare if path not in known} <= {"utils.py", "core.py", "models.py", "views.py"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_decision_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"\b(00\d\d)\b", page.read_text())
    assert set(named) <= {record.name[:4] for record in RECORDS}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_decision_has_a_status_and_a_date(record: Path) -> None:
    title, empty, status, *_ = record.read_text().splitlines()
    assert title.startswith(f"# {record.name[:4]} ")
    assert empty == ""
    assert re.fullmatch(STATUS, status)
    for number in re.findall(r"by (\d{4})", status):
        (later,) = [other for other in RECORDS if other.name.startswith(number)]
        assert record.name[:4] in later.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_has_its_target(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) + re.findall(r'src(?:set)?="([^"]+)"', text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("name", ["operations.md", "scaling.md", "security.md"])
def test_every_test_named_by_a_page_exists(name: str) -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", (DOCS / name).read_text()))
    assert named
    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_each_threat_names_its_tests() -> None:
    page = (DOCS / "security.md").read_text()
    table = page[page.index("| threat |") : page.index("## Secrets")]
    assert [line for line in table.splitlines()[2:] if line and "`test_" not in line.split(" | ")[-1]] == []


def test_every_fault_of_the_storm_is_in_the_loss_contract() -> None:
    page = (DOCS / "operations.md").read_text()
    rows = page[page.index("| fault |") : page.index("The storm is")]
    stormy = {name for line in re.findall(r"storm: (.*?) \|", rows) for name in re.findall(r"`([a-z_]+)`", line)}
    assert stormy == set(FAULTS)


def test_the_readme_is_short_and_names_both_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 120
    assert "make apps-up" in text
    assert "make test" in text


def test_ci_runs_the_command_of_the_readme() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()

"""The docs are held true: settings, routes, metrics, links, and how long the README may be."""

import re
import threading
from dataclasses import fields
from pathlib import Path

import pytest
from dotenv import dotenv_values
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from common.journal.disk import DiskUsage
from common.settings import Settings
from common.wire.messages import BAD_MESSAGE_REASONS, TRADES
from sidecar.collector import Sight, SnapshotStatus, StateCollector
from sidecar.series_start import SeriesStarts
from sidecar.state import State
from tests.conftest import JOURNAL_ID, ROOT, make_event
from tests.system.faults.faults import FAULTS
from webapp import create_app

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def write_default(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


DEFAULTS = {field.name.upper(): write_default(getattr(Settings(), field.name)) for field in fields(Settings)}


def test_the_sample_holds_every_setting_at_its_default_and_quoted() -> None:
    sample = dotenv_values(ROOT / ".env.sample")
    assert sample == DEFAULTS | {"SECRET_KEY": "replace-me"}
    for line in (ROOT / ".env.sample").read_text().splitlines():
        assert not line or line.startswith("#") or re.fullmatch(r'[A-Z_]+="[^"]*"', line)


def test_the_settings_page_holds_every_setting_with_its_default() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| `([^`]*)` \|", (DOCS / "settings.md").read_text(), re.MULTILINE)
    assert {name: "" if default == '""' else default for name, default in rows} == DEFAULTS


def exposed_names() -> set[str]:
    state = State(JOURNAL_ID)
    state.apply([make_event(1)], "live", 200, 0.0)
    sight = Sight(lambda: state, threading.Lock(), SnapshotStatus(), lambda: (1, DiskUsage(1, 1, 1)), list)
    registry = CollectorRegistry()
    registry.register(StateCollector(sight, SeriesStarts()))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {family.name + ("_total" if family.type == "counter" else "") for family in families}


def test_the_metrics_page_holds_every_metric() -> None:
    page = (DOCS / "metrics.md").read_text()
    assert {name for name in exposed_names() if f"`{name}`" not in page} == set()
    for reason in BAD_MESSAGE_REASONS:
        assert f"`{reason}`" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_metric_that_is_not_exposed(page: Path) -> None:
    named = set(re.findall(r"(?<!:)\b(?:trading|sidecar|webapp)_[a-z_]+[a-z]\b", page.read_text()))
    known = {name + suffix for name in exposed_names() for suffix in ("", "_bucket", "_sum", "_count")}
    settings = {name.lower() for name in DEFAULTS}
    assert named - known - settings - {"trading_session"} == set()


def test_the_api_page_holds_every_route() -> None:
    page = (DOCS / "api.md").read_text()
    app = create_app(Settings(secret_key="s" * 32))
    for rule in app.url_map.iter_rules():
        if rule.endpoint != "static":
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                assert f"`{method} {rule.rule}`" in page
    for route in ("/", "/metrics", "/healthz", "/readyz"):
        assert f"`GET {route}`" in page


def test_the_wire_page_names_the_version() -> None:
    assert f"`{TRADES.decode()}`" in (DOCS / "wire.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) + re.findall(r'src(?:set)?="([^"]+)"', text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_proof_of_the_loss_contract_exists() -> None:
    page = (DOCS / "operations.md").read_text()
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_[a-z_]+)`", page))
    assert {name for name in named if f"def {name}(" not in tests} == set()
    rows = page[page.index("| fault |") : page.index("The storm is")]
    stormy = {name for line in re.findall(r"storm: (.*?) \|", rows) for name in re.findall(r"`([a-z_]+)`", line)}
    assert stormy == set(FAULTS)


def test_the_readme_is_short_and_names_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 120
    assert "make apps-up" in text
    assert "make test" in text


def test_the_gate_runs_the_readmes_command() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()

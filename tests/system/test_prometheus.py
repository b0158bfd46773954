"""A real Prometheus, started as by ``make infra-up``, scraping a real stack."""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from common.event import SIDES
from common.settings import Settings
from common.wire.messages import BAD_MESSAGE_REASONS
from infra import stack as infra_stack
from infra.grafana.dashboard import FILES
from sidecar.state import SOURCES
from tests.conftest import ROOT, require_program
from tests.system.stack import Stack, free_ports
from tests.waiting import wait_for
from webapp.worker_metrics import REJECTIONS

# Prometheus keeps running after the command that starts it.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")

RULES = [
    rule
    for path in (ROOT / "infra" / "prometheus" / "rules").glob("*.yml")
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
]
QUERIES = {
    f"{path.stem}: {panel['title']}: {target['legendFormat']}": target["expr"]
    for path in FILES
    # test_hub_over_nats.py asks those of a relay.
    if path.stem != "relay"
    for panel in json.loads(path.read_text())["panels"]
    for target in panel.get("targets", [])
} | {rule["record"]: rule["record"] for rule in RULES if "record" in rule and "litestream" not in rule["record"]}
VARIABLES = {"$__rate_interval": "4s", "$__range": "15m"} | dict.fromkeys(
    ("$job", "$instance", "$symbol", "$side", "$quote"), ".+"
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a running stack in which every panel has something to show."""
    with Stack(tmp_path_factory.mktemp("stack"), SILENCE_AFTER="*=1h") as stack:
        yield stack.start()


@pytest.fixture(scope="module")
def prometheus(shared: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    require_program("prometheus")
    root = tmp_path_factory.mktemp("infra")
    shutil.copytree(ROOT / "infra" / "prometheus", root / "infra" / "prometheus")
    (root / "var").mkdir()
    (port,) = free_ports(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(infra_stack, "INFRA", root / "infra")
        patch.setattr(infra_stack, "VAR", root / "var")
        patch.setattr(infra_stack, "has_engine", lambda: False)
        which = shutil.which
        patch.setattr(shutil, "which", lambda name: None if name == "grafana-server" else which(name))
        infra_stack.up(Settings.from_env(shared.settings), port, 0)
        yield f"http://127.0.0.1:{port}"
        infra_stack.down()
        with pytest.raises(requests.ConnectionError):
            requests.get(f"http://127.0.0.1:{port}/-/ready", timeout=60)


def ask(prometheus: str, query: str) -> list[float]:
    filled = query
    for name, value in VARIABLES.items():
        filled = filled.replace(name, value)
    answer = requests.post(f"{prometheus}/api/v1/query", data={"query": filled}, timeout=60).json()
    assert answer["status"] == "success", answer
    values = [float(sample["value"][1]) for sample in answer["data"]["result"]]
    return [value for value in values if not math.isnan(value)]


def test_every_panel_shows_data_under_load_without_a_single_error(shared: Stack, prometheus: str) -> None:
    with shared.under_trades(rate=100):
        for title, query in QUERIES.items():
            values = wait_for(partial(ask, prometheus, query), f"the panel {title!r} shows data", 30)
            sys.stdout.write(f"{title}: {query}: {values[:6]}\n")


KNOWN = {
    ("trading_trades_total", "side"): SIDES,
    ("trading_trade_notional_count", "side"): SIDES,
    ("sidecar_events_total", "source"): SOURCES,
    ("sidecar_messages_rejected_total", "reason"): BAD_MESSAGE_REASONS,
    ("webapp_trades_rejected_total", "reason"): REJECTIONS,
}
"""Labels whose values are known before there is anything to count."""


def test_series_whose_labels_are_known_start_at_0(tmp_path: Path) -> None:
    def read(stack: Stack) -> dict[tuple[str, str], dict[str, float]]:
        found: dict[tuple[str, str], dict[str, float]] = {key: {} for key in KNOWN}
        for (name, labels), value in stack.samples().items():
            for label, text in labels:
                if (name, label) in found:
                    found[name, label][text] = value
        return found

    with Stack(tmp_path, TRADING_SYMBOLS="BTCUSDT") as stack:
        stack.start()
        zeros = {key: dict.fromkeys(values, 0.0) for key, values in KNOWN.items()}
        wait_for(lambda: read(stack) == zeros, "each is shown at 0")


def test_prometheus_agrees_with_the_journal(shared: Stack, prometheus: str) -> None:
    shared.accept(7)
    count = shared.journalled()
    total = partial(ask, prometheus, "sum(trading_trades_total)")
    wait_for(lambda: total() == [count], f"Prometheus has {count} trades")


def test_each_rule_is_evaluated_and_no_alert_fires(prometheus: str) -> None:
    def all_evaluated() -> list[dict[str, Any]] | None:
        groups = requests.get(f"{prometheus}/api/v1/rules", timeout=60).json()["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert not [rule for rule in rules if rule["health"] == "err"]
        return rules if all(rule["health"] == "ok" for rule in rules) else None

    rules = wait_for(all_evaluated, "each rule was evaluated", 30)
    firing = {rule["name"] for rule in rules if rule.get("state") == "firing"}
    assert firing <= {"UnusableMessages"}
    assert len(rules) == len(RULES)


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "infra" / "prometheus", tmp_path / "infra" / "prometheus")
    # As `make infra-up` writes it for a sidecar without a token.
    credentials = tmp_path / "var" / "prometheus" / "private" / "sidecar.token"
    credentials.parent.mkdir(parents=True)
    credentials.touch()
    config = tmp_path / "infra" / "prometheus" / "prometheus.yml"
    command = [require_program("promtool"), "check", "config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_metrics_follow_prometheus_conventions(shared: Stack) -> None:
    shared.accept(1)
    text = requests.get(f"{shared.sidecar_url}/metrics", timeout=60).text
    ours = "".join(
        line for line in text.splitlines(keepends=True) if not any(part in line for part in ("python_", "process_"))
    )
    done = subprocess.run(
        [require_program("promtool"), "check", "metrics"],
        input=ours,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_missing_prometheus_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch, shared: Stack) -> None:
    monkeypatch.setattr(infra_stack, "has_engine", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(infra_stack.InfraError, match="apt-get install prometheus"):
        infra_stack.up(Settings.from_env(shared.settings), 9090, 3000)

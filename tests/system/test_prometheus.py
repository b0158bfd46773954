"""The real Prometheus, started as ``make infra-up`` starts it, over the real stack."""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import requests

from infra import stack as infra_stack
from infra.grafana.dashboard import DASHBOARD
from tape.settings import Settings
from tests.conftest import ROOT, require_program
from tests.system.stack import Stack, free_ports
from tests.waiting import wait_for

# Prometheus is meant to outlive the command that starts it.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")

QUERIES = {
    f"{panel['title']} {target['legendFormat']}".strip(): target["expr"]
    for panel in json.loads(DASHBOARD.read_text())["panels"]
    for target in panel["targets"]
}


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
        patch.setattr(shutil, "which", lambda name: None if name == "grafana-server" else f"/usr/bin/{name}")
        infra_stack.up(Settings.from_env(shared.settings), port, 0)
        yield f"http://127.0.0.1:{port}"
        infra_stack.down()
        with pytest.raises(requests.ConnectionError):
            requests.get(f"http://127.0.0.1:{port}/-/ready", timeout=5)


def ask(prometheus: str, query: str) -> list[float]:
    filled = query.replace("$__rate_interval", "4s").replace("$symbol", ".*").replace("$side", ".*")
    answer = requests.post(f"{prometheus}/api/v1/query", data={"query": filled}, timeout=10).json()
    assert answer["status"] == "success", answer
    values = [float(sample["value"][1]) for sample in answer["data"]["result"]]
    return [value for value in values if not math.isnan(value)]


def test_every_panel_shows_data_while_trades_come_in(shared: Stack, prometheus: str) -> None:
    with shared.under_trades(rate=100):
        for title, query in QUERIES.items():
            values = wait_for(partial(ask, prometheus, query), f"the panel {title!r} shows data")
            sys.stdout.write(f"{title}: {query}: {values[:6]}\n")


def test_prometheus_agrees_with_the_journal(shared: Stack, prometheus: str) -> None:
    shared.accept(7)
    count = shared.journalled()
    total = partial(ask, prometheus, "sum(trading_trades_total)")
    wait_for(lambda: total() == [count], f"Prometheus has {count} trades")


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "infra" / "prometheus", tmp_path / "infra" / "prometheus")
    config = tmp_path / "infra" / "prometheus" / "prometheus.yml"
    command = [require_program("promtool"), "check", "config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_metrics_keep_prometheus_conventions(shared: Stack) -> None:
    shared.accept(1)
    text = requests.get(f"{shared.sidecar_url}/metrics", timeout=5).text
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


def test_a_missing_prometheus_says_what_to_install(monkeypatch: pytest.MonkeyPatch, shared: Stack) -> None:
    monkeypatch.setattr(infra_stack, "has_engine", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(infra_stack.InfraError, match="apt-get install prometheus"):
        infra_stack.up(Settings.from_env(shared.settings), 9090, 3000)

"""An alert reaches somebody: from a killed sidecar over the real Prometheus and Alertmanager to a message."""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from common.settings import Settings
from infra import stack as infra_stack
from tests.conftest import ROOT, require_program
from tests.system.stack import Stack, free_ports
from tests.waiting import wait_for

# Both keep running after the function that starts them.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")

FASTER = {
    "prometheus/prometheus.yml": {"evaluation_interval: 5s": "evaluation_interval: 1s"},
    "prometheus/rules/alerts.yml": {"for: 30s": "for: 1s"},
    "alertmanager/alertmanager.yml": {"group_wait: 10s": "group_wait: 0s", "group_interval: 1m": "group_interval: 1s"},
}
"""What a test need not wait for."""


class Receiver(ThreadingHTTPServer):
    """Keeps the messages that Alertmanager sends."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Keep)


class _Keep(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def prometheus(cold: Stack, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    require_program("prometheus")
    require_program("prometheus-alertmanager")
    root = tmp_path / "infra"
    for name in ("prometheus", "alertmanager"):
        shutil.copytree(ROOT / "infra" / name, root / "infra" / name)
    for name, changes in FASTER.items():
        path = root / "infra" / name
        text = path.read_text()
        for before, after in changes.items():
            assert before in text
            text = text.replace(before, after)
        path.write_text(text.replace("http://alerts.example/", f"http://127.0.0.1:{receiver.server_port}/"))
    monkeypatch.setattr(infra_stack, "INFRA", root / "infra")
    monkeypatch.setattr(infra_stack, "VAR", root / "var")
    monkeypatch.setattr(infra_stack, "has_engine", lambda: False)
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "grafana-server" else which(name))
    port, alertmanager_port = free_ports(2)
    url = f"http://127.0.0.1:{port}"
    settings = cold.settings | {"PROMETHEUS_URL": url, "GRAFANA_URL": "http://grafana.example"}
    (root / "var").mkdir()
    try:
        infra_stack.up(Settings.from_env(settings), port, 0, alerts=True, alertmanager_port=alertmanager_port)
        yield url
    finally:
        infra_stack.down()


def test_a_killed_sidecar_is_one_message_and_its_restart_another(
    cold: Stack, receiver: Receiver, prometheus: str
) -> None:
    instance = f"127.0.0.1:{cold.settings['SIDECAR_HTTP_PORT']}"

    def is_up(value: str) -> bool:
        params = {"query": f'up{{job="sidecar"}} == {value}'}
        return bool(requests.get(f"{prometheus}/api/v1/query", params=params, timeout=20).json()["data"]["result"])

    def list_messages() -> list[dict[str, Any]]:
        # Before the first scrape there is no target yet: that alert has no instance.
        return [each for each in receiver.messages if each["groupLabels"].get("instance") == instance]

    cold.start("sidecar")
    wait_for(lambda: is_up("1"), "the sidecar is scraped")
    cold.find("sidecar").kill()
    wait_for(list_messages, "somebody is told")
    cold.stop("sidecar")
    cold.start("sidecar")
    wait_for(lambda: len(list_messages()) > 1, "somebody is told that it is over")

    assert [each["status"] for each in list_messages()] == ["firing", "resolved"]
    (alert,) = list_messages()[0]["alerts"]
    assert alert["labels"] == {
        "alertname": "SidecarDown",
        "instance": instance,
        "job": "sidecar",
        "severity": "critical",
    }
    assert alert["annotations"]["dashboard_url"] == "http://grafana.example/d/trading-telemetry-pipeline"
    runbook, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    page = requests.get(runbook, timeout=20)
    assert page.status_code == 200
    assert re.search(f'<h2 id="{anchor}">sidecar-down</h2>', page.text)

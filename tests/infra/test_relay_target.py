"""Prometheus scrapes a hub's relay under a job of its own, and nothing where there is none."""

import json
from pathlib import Path

from common.settings import Settings
from infra.targets import write_relay_target, write_target


def test_the_relay_of_a_hub_is_a_target_with_its_own_job(tmp_path: Path) -> None:
    write_target(tmp_path, "targets", "127.0.0.1:8001")
    file = tmp_path / "prometheus" / "targets" / "relay.json"
    write_relay_target(tmp_path, Settings(relay_http_hosts=("https://berlin.example",)), "127.0.0.1")
    assert json.loads(file.read_text()) == [{"targets": ["127.0.0.1:8002"], "labels": {"job": "relay"}}]
    write_relay_target(tmp_path, Settings(), "127.0.0.1")
    assert json.loads(file.read_text()) == []
    write_relay_target(tmp_path, Settings(relay_transport="nats"), "127.0.0.1")
    assert json.loads(file.read_text()) != []
    write_relay_target(tmp_path, Settings(), "127.0.0.1")
    assert json.loads(file.read_text()) == []

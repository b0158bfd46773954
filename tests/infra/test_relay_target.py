"""Prometheus scrapes a hub's relay under a job of its own, and nothing where there is none."""

import json
from pathlib import Path

import pytest

from common.settings import Settings
from infra import stack


def test_the_relay_of_a_hub_is_a_target_with_its_own_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "VAR", tmp_path)
    stack.write_target("targets", "127.0.0.1:8001")
    file = tmp_path / "prometheus" / "targets" / "relay.json"
    stack.write_relay_target(Settings(relay_http_hosts=("https://berlin.example",)), "127.0.0.1")
    assert json.loads(file.read_text()) == [{"targets": ["127.0.0.1:8002"], "labels": {"job": "relay"}}]
    stack.write_relay_target(Settings(), "127.0.0.1")
    assert json.loads(file.read_text()) == []
    stack.write_relay_target(Settings(relay_transport="nats"), "127.0.0.1")
    assert json.loads(file.read_text()) != []
    stack.write_relay_target(Settings(), "127.0.0.1")
    assert json.loads(file.read_text()) == []

"""Prometheus's target files: where it finds the sidecar, the relay and Alertmanager."""

import json
from pathlib import Path
from typing import Any, Literal

from common.settings import Settings, write_address


def write_target(var: Path, kind: Literal["targets", "alertmanagers"], *addresses: str) -> None:
    """Write the target file for the sidecar (``targets``) or Alertmanager (``alertmanagers``)."""
    _replace(var, kind, "sidecar", [{"targets": addresses}])


def write_relay_target(var: Path, settings: Settings, host: str) -> None:
    """Write the target file for the relay of a hub, or of a host that pushes; elsewhere there is none."""
    target = {"targets": [write_address(host, settings.relay_http_port)], "labels": {"job": "relay"}}
    has_relay = settings.relay_http_hosts or settings.relay_transport == "nats"
    _replace(var, "targets", "relay", [target] if has_relay else [])


def _replace(var: Path, kind: str, name: str, targets: list[dict[str, Any]]) -> None:
    """Write a target file at once, since Prometheus reads it when it changes."""
    folder = var / "prometheus" / kind
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f"{name}.new"
    draft.write_text(json.dumps(targets))
    draft.replace(folder / f"{name}.json")

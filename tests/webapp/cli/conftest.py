"""Settings of an installation of which nothing is set up yet."""

from pathlib import Path

import pytest

from common.settings import Settings
from tests.system.stack import free_ports


@pytest.fixture
def fresh(settings: Settings, tmp_path: Path) -> Settings:
    """Nothing is set up, and nothing runs."""
    web, sidecar, hints = free_ports(3)
    changes = {
        "snapshot_path": tmp_path / "snapshot",
        "webapp_http_port": web,
        "sidecar_http_port": sidecar,
        "webapp_zmq_addr": f"tcp://127.0.0.1:{hints}",
        "prometheus_url": "",
        "grafana_url": "",
    }
    return Settings(**{**vars(settings), **changes})

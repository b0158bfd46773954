"""The dashboards as code: ``python -m infra.grafana.dashboard`` writes dashboards/*.json."""

import json
from pathlib import Path
from typing import Final

from infra.grafana.panels import Dashboard, build
from infra.grafana.pipeline import PIPELINE
from infra.grafana.relay import RELAY
from infra.grafana.trading import TRADING

FILES: Final = {
    Path(__file__).parent / "dashboards" / f"{dashboard.title.lower()}.json": dashboard
    for dashboard in (TRADING, PIPELINE, RELAY)
}


def write_dashboard(dashboard: Dashboard) -> str:
    """Return a dashboard as the JSON text that is checked in."""
    return json.dumps(build(dashboard), indent=2) + "\n"


if __name__ == "__main__":
    for path, dashboard in FILES.items():
        path.write_text(write_dashboard(dashboard))

"""Three nodes between a host and a hub: faults under load, and the relay's dashboard (all: `make faults-nats`)."""

import contextlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.system.hub_faults.load import Client, watch
from tests.system.hub_faults.over_nats import NatsStorm
from tests.system.hub_faults.storm import ARRIVE_SECONDS
from tests.system.prometheus import Prometheus
from tests.waiting import wait_for

FAULTS = ("push_killed", "pull_killed", "follower_killed", "leader_killed", "node_frozen", "quorum_lost", "pull_frozen")
BOARD = ROOT / "infra" / "grafana" / "dashboards" / "relay.json"


class Cluster(NatsStorm):
    """A storm in which a node is away until trades arrive by the others."""

    def wait_away(self) -> None:
        with watch(self.hubs[0]) as seen:
            wait_for(lambda: seen.last_seq, "the hub's journal is read")
            # What was on its way when the node failed comes first.
            for _ in range(2):
                after = seen.last_seq
                wait_for(lambda after=after: seen.last_seq > after, "trades arrive without the node", ARRIVE_SECONDS)  # type: ignore[misc]


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with contextlib.ExitStack() as opened:
        yield Cluster(tmp_path_factory.mktemp("storm"), opened, 1)


@pytest.mark.timeout(400)
def test_what_is_accepted_is_in_the_hub_in_order_and_counted_after_faults_of_push_pull_and_nodes(
    storm: Cluster,
) -> None:
    report = list(storm.run(100, 1, FAULTS))
    assert f"{len(FAULTS)} faults" in report[len(FAULTS) + (not storm.can_fill)]
    assert "lost 0, twice 0, out of order 0" in report[-2]


def test_every_panel_of_the_relays_dashboard_shows_data(storm: Cluster, tmp_path: Path) -> None:
    prometheus = Prometheus(tmp_path, "0")
    targets = ", ".join(f'"{relay.url.partition("//")[2]}"' for relay in (*storm.pushes, *storm.pulls))
    (tmp_path / "prometheus.yml").write_text(f"""
global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: relay, static_configs: [{{targets: [{targets}]}}]}}]
""")
    client = Client(storm.hosts[0], 100)
    with prometheus:
        client.start()
        for panel in json.loads(BOARD.read_text())["panels"]:
            for target in panel.get("targets", []):
                query = (
                    target["expr"].replace("$__rate_interval", "4s").replace("$job", ".+").replace("$instance", ".+")
                )
                wait_for(partial(prometheus.ask, query), f"the panel {panel['title']!r} shows data")
        client.stopping.set()
        client.join(60)

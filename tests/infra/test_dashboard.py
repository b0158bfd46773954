import json
import re

from infra.grafana.dashboard import DASHBOARD, PANELS, write_dashboard
from tests.conftest import ROOT

PROVISIONING = ROOT / "infra" / "grafana" / "provisioning"


def test_the_checked_in_dashboard_is_the_generated_one() -> None:
    assert DASHBOARD.read_text() == write_dashboard()


def test_the_dashboard_can_be_provisioned() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["id"] is None
    assert dashboard["uid"]
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) == len(PANELS)
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            if "rate(" in target["expr"]:
                assert "$__rate_interval" in target["expr"]


def test_panels_fill_their_rows_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert taken.isdisjoint(cells)
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_the_dashboard_asks_the_provisioned_datasource() -> None:
    uid = re.search(r"uid: (\S+)", (PROVISIONING / "datasources" / "prometheus.yml").read_text())
    assert uid is not None
    variables = {variable["name"]: variable for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]}
    assert variables["datasource"]["current"]["value"] == uid[1]
    assert set(variables) == {"datasource", "symbol", "side"}


def test_images_are_pinned() -> None:
    images = re.findall(r"image: (\S+)", (ROOT / "infra" / "compose.yml").read_text())
    assert len(images) == 2
    assert all(re.search(r":v?[0-9]+\.[0-9]+\.[0-9]+$", image) for image in images)

"""The dashboards: the checked-in JSON is the generated one, and it follows the rules of grafana/dashboard-linter."""

import json
import re
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from infra.grafana.dashboard import FILES, write_dashboard
from tests.conftest import ROOT

PROVISIONING = ROOT / "infra" / "grafana" / "provisioning"
UNITS = {"none", "short", "locale", "string", "percentunit", "bytes", "s", "reqps", "dateTimeFromNow"}
UNITS |= {"suffix: trades/s", "suffix: events/s"}
BOARDS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in FILES}

each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions(board: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in panels(board) for target in panel["targets"]]


def test_the_checked_in_dashboards_are_the_generated_ones() -> None:
    for path, dashboard in FILES.items():
        assert path.read_text() == write_dashboard(dashboard)
    assert {path.name for path in (ROOT / "infra" / "grafana" / "dashboards").iterdir()} == {f.name for f in FILES}
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS)


@each_board
def test_a_dashboard_can_be_provisioned(board: dict[str, Any]) -> None:
    assert board["id"] is None
    assert board["uid"]
    assert board["schemaVersion"] >= 39
    assert board["editable"] is False
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


@each_board
def test_each_panel_has_a_description_a_unit_and_the_chosen_data_source(board: dict[str, Any]) -> None:
    for panel in panels(board):
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert re.search(r"\brate\((?![^)]*\$__rate_interval)", target["expr"]) is None


@each_board
def test_each_query_is_on_the_chosen_job_and_instance(board: dict[str, Any]) -> None:
    for expression in expressions(board):
        selectors = re.findall(
            r"\b(?:up|ALERTS|(?:trading|sidecar|webapp|relay|process)_[a-z_]+)(\{[^}]*\})?", expression
        )
        assert selectors
        for selector in selectors:
            assert 'job=~"$job"' in selector
            assert 'instance=~"$instance"' in selector


@each_board
def test_each_variable_offers_all_and_is_refreshed_when_the_time_range_changes(board: dict[str, Any]) -> None:
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    source = variables.pop("datasource")
    uid = re.search(r"uid: (\S+)", (PROVISIONING / "datasources" / "prometheus.yml").read_text())
    assert uid is not None
    assert (source["type"], source["label"], source["current"]["value"]) == ("datasource", "Data source", uid[1])
    assert {"job", "instance"} <= set(variables)
    for name, variable in variables.items():
        assert variable["label"] == name.title()
        assert variable["type"] == "query"
        assert variable["datasource"]["uid"] == "${datasource}"
        assert variable["query"].startswith("label_values(")
        assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".+")
        assert variable["refresh"] == 2
        assert any(f"${name}" in expression for expression in expressions(board))


@each_board
def test_a_dashboard_links_to_the_other_ones_and_to_the_desk(board: dict[str, Any]) -> None:
    others = {f"/d/{other['uid']}" for other in BOARDS.values() if other["uid"] != board["uid"]}
    assert {link["url"] for link in board["links"]} == others | {"http://127.0.0.1:8000/"}
    for link in board["links"]:
        assert link["title"]
        assert link["keepTime"] is link["url"].startswith("/d/")


@each_board
def test_panels_fill_their_rows_and_do_not_overlap(board: dict[str, Any]) -> None:
    used: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        position = panel["gridPos"]
        cells = {(position["x"] + x, position["y"] + y) for x in range(position["w"]) for y in range(position["h"])}
        assert used.isdisjoint(cells)
        assert position["x"] + position["w"] <= 24
        used |= cells
    height = max(y for _, y in used) + 1
    assert len(used) == 24 * height


def test_images_are_pinned() -> None:
    # Our own is what was built here.
    images = re.findall(r"image: (?!\$\{TRADING_IMAGE)(\S+)", (ROOT / "infra" / "compose.yml").read_text())
    assert images
    assert [image for image in images if not re.search(r":v?[0-9]+\.[0-9]+\.[0-9]+$", image)] == []


def lose(given: Any, kept: Any, path: str = "") -> list[str]:  # noqa: ANN401 - JSON
    """List what is in one JSON value and not in the other."""
    if isinstance(given, dict) and isinstance(kept, dict):
        return [lost for key, value in given.items() for lost in lose(value, kept.get(key), f"{path}.{key}")]
    if isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        return [lost for n, (a, b) in enumerate(zip(given, kept, strict=True)) for lost in lose(a, b, f"{path}[{n}]")]
    return [] if given == kept else [f"{path}: {given!r} is {kept!r}"]


@each_board
def test_grafanas_own_types_know_each_field(board: dict[str, Any]) -> None:
    register_default_plugins()
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(board)))
    assert lose(board, read) == []


@each_board
def test_buys_are_green_and_sells_red_wherever_there_are_both(board: dict[str, Any]) -> None:
    for panel in panels(board):
        legends = " ".join(target["legendFormat"] for target in panel["targets"])
        if "{{side}}" in legends:
            colours = {
                each["matcher"]["options"]: each["properties"][0]["value"]["fixedColor"]
                for each in panel["fieldConfig"]["overrides"]
            }
            assert colours == {r"/\bBUY$/": "green", r"/\bSELL$/": "red"}

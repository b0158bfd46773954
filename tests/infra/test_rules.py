"""The rules are valid and tested, and each alert has a runbook."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.settings import Settings
from infra import runbooks
from infra.grafana.dashboard import FILES
from tests.conftest import ROOT, require_program

PROMETHEUS = ROOT / "infra" / "prometheus"
ALERTS: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "rules" / "alerts.yml").read_text())["groups"][0]["rules"]
RECORDED: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "rules" / "recording.yml").read_text())["groups"]
    for rule in group["rules"]
]
CASES: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "tests" / "alerts.yml").read_text())["tests"]


def run_promtool(*arguments: str | Path) -> str:
    command = [require_program("promtool"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_valid() -> None:
    assert "SUCCESS" in run_promtool("check", "rules", *sorted((PROMETHEUS / "rules").glob("*.yml")))


def test_every_case_of_every_alert_passes() -> None:
    assert "SUCCESS" in run_promtool("test", "rules", PROMETHEUS / "tests" / "alerts.yml")


def test_each_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    fires: set[str] = set()
    quiet: set[str] = set()
    for case in CASES:
        for test in case["alert_rule_test"]:
            (fires if test["exp_alerts"] else quiet).add(test["alertname"])
    names = {alert["alert"] for alert in ALERTS}
    assert fires == quiet == names


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_has_a_severity_a_summary_a_description_and_a_runbook(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert alert["for"]
    assert alert["annotations"]["summary"].endswith(".")
    assert alert["annotations"]["description"].endswith(".")
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert page == "{{ $externalLabels.runbook_url }}"
    assert anchor in list_runbooks()
    assert anchor.replace("-", "") == alert["alert"].lower()
    dashboard = alert["annotations"]["dashboard_url"].removeprefix("{{ $externalLabels.grafana_url }}/d/")
    assert dashboard in {each.uid for each in FILES.values()}


def list_runbooks() -> list[str]:
    return re.findall(r"^## (.+)$", runbooks.SOURCE.read_text(), re.MULTILINE)


def test_every_runbook_has_its_alert() -> None:
    assert list_runbooks() == [alert["annotations"]["runbook_url"].partition("#")[2] for alert in ALERTS]


def test_recording_rules_are_named_level_metric_operations_and_are_used_or_documented() -> None:
    texts = "".join(alert["expr"] for alert in ALERTS) + (ROOT / "docs" / "infra.md").read_text()
    for rule in RECORDED:
        assert re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", rule["record"])
        assert rule["record"] in texts


def test_the_alertmanager_configuration_refers_to_existing_receivers_and_alerts() -> None:
    config = yaml.safe_load((ROOT / "infra" / "alertmanager" / "alertmanager.yml").read_text())
    assert config["route"]["receiver"] in {receiver["name"] for receiver in config["receivers"]}
    named = re.findall(r"alertname = (\w+)", str(config["inhibit_rules"]))
    assert set(named) <= {alert["alert"] for alert in ALERTS}


def test_the_page_of_runbooks_has_an_anchor_for_each_and_working_links(tmp_path: Path) -> None:
    runbooks.write_page(tmp_path)
    page = (tmp_path / "runbooks.html").read_text()
    anchors = re.findall(r' id="([^"]+)"', page)
    assert anchors == list_runbooks()
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(anchors)
    assert "](#" not in page
    assert "&lt;reason&gt;" in page


@pytest.mark.parametrize(
    ("runbook_url", "prometheus_url", "expected"),
    [
        ("https://wiki.example/runbooks", "http://p.example", "https://wiki.example/runbooks"),
        ("", "https://p.example/prometheus/", "https://p.example/prometheus/user/runbooks.html"),
        ("", "", "http://127.0.0.1:9091/user/runbooks.html"),
    ],
)
def test_the_link_of_an_alert_is_the_setting_or_the_page_that_prometheus_serves(
    runbook_url: str, prometheus_url: str, expected: str
) -> None:
    settings = Settings(runbook_url=runbook_url, prometheus_url=prometheus_url)
    assert runbooks.find_url(settings, 9091) == expected


def test_the_alertmanager_configuration_is_valid() -> None:
    config = ROOT / "infra" / "alertmanager" / "alertmanager.yml"
    done = subprocess.run(
        [require_program("amtool"), "check-config", config], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

"""The rules are valid and tested, and each alert has a runbook."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

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
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
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
    assert page == "docs/runbooks.md"
    sections = re.findall(r"^## (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor in sections
    assert anchor.replace("-", "") == alert["alert"].lower()


def test_every_runbook_has_its_alert() -> None:
    sections = re.findall(r"^## (.+)$", (ROOT / "docs" / "runbooks.md").read_text(), re.MULTILINE)
    assert sections == [alert["annotations"]["runbook_url"].partition("#")[2] for alert in ALERTS]


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

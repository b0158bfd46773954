"""The desk knows the alerts that fire in Prometheus; whatever answers at its address breaks nothing."""

from typing import Any

import pytest

from tests.webapp.answers import serving
from webapp.alerts import ALERTS_MAX, Alerts

FIRING = {
    "state": "firing",
    "labels": {"alertname": "NoTrades", "severity": "critical"},
    "annotations": {"summary": "Silent.", "runbook_url": "http://p/user/runbooks.html#no-trades"},
    "activeAt": "2026-11-27T12:12:04Z",
}
PENDING = FIRING | {"state": "pending"}
SHOWN = {
    "name": "NoTrades",
    "severity": "critical",
    "summary": "Silent.",
    "since": "2026-11-27T12:12:04Z",
    "runbook_url": "http://p/user/runbooks.html#no-trades",
}


def ask(answer: Any, path: str = "") -> Any:  # noqa: ANN401 - JSON
    with serving({f"{path}/api/v1/alerts": answer}) as port:
        return Alerts(f"http://127.0.0.1:{port}{path}/").get()


@pytest.mark.parametrize("path", ["", "/prometheus"])
def test_those_that_fire_are_shown_and_not_those_that_may(path: str) -> None:
    assert ask({"data": {"alerts": [PENDING, FIRING]}}, path) == [SHOWN]
    assert ask({"data": {"alerts": [PENDING]}}, path) == []
    assert ask({"data": {"alerts": [FIRING] * 50}}, path) == [SHOWN] * ALERTS_MAX


@pytest.mark.parametrize("url", ["javascript:alert(1)", "#no-trades", ""])
def test_a_runbook_that_is_no_address_of_the_web_is_no_link(url: str) -> None:
    (alert,) = ask({"data": {"alerts": [FIRING | {"annotations": {"runbook_url": url}}]}})
    assert (alert["runbook_url"], alert["summary"]) == ("", "")


@pytest.mark.parametrize(
    "answer", [(500, "no"), "<html>", [], {}, {"data": None}, {"data": {"alerts": [1]}}, {"data": {"alerts": [{}]}}]
)
def test_another_answer_is_none(answer: object) -> None:
    assert ask(answer) is None


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:1", "https://127.0.0.1:1/x"])
def test_no_answer_is_none(url: str) -> None:
    assert Alerts(url).get() is None

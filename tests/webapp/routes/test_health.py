import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from common.journal.store import Journal
from common.settings import Settings
from tests.waiting import wait_for


def test_a_worker_exposes_its_process_metrics_and_no_totals(client: FlaskClient) -> None:
    answer = client.get("/metrics")
    names = {family.name for family in text_string_to_metric_families(answer.text)}
    assert "process_resident_memory_bytes" in names
    assert not any(name.startswith(("trading_", "sidecar_", "webapp_")) for name in names)
    openmetrics = client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert openmetrics.mimetype == "application/openmetrics-text"


def count_probes(monkeypatch: pytest.MonkeyPatch, pause: float = 0.0) -> list[float]:
    probes: list[float] = []
    check = Journal.check_writable

    def probe(journal: Journal) -> None:
        probes.append(time.monotonic())
        threading.Event().wait(pause)
        check(journal)

    monkeypatch.setattr(Journal, "check_writable", probe)
    return probes


def test_callers_share_one_probe_for_a_limited_time(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    probes = count_probes(monkeypatch, 0.05)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: app.test_client().get("/readyz").status_code, range(8)))
    assert (answers, len(probes)) == ([200] * 8, 1)
    client = app.test_client()

    def is_probed_again() -> bool:
        assert client.get("/readyz").status_code == 200
        return len(probes) > 1

    wait_for(is_probed_again, "the answer is no longer shared")


def test_a_failed_probe_is_shared(app: Flask, settings: Settings) -> None:
    assert app.test_client().get("/healthz").status_code == 200
    settings.journal_path.mkdir(parents=True)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: app.test_client().get("/readyz"), range(8)))
    assert {(answer.status_code, (answer.json or {})["reason"]) for answer in answers} == {(503, "unopenable")}


def test_a_shared_result_ends_when_the_files_of_the_journal_change(client: FlaskClient, settings: Settings) -> None:
    assert client.get("/readyz").status_code == 200
    settings.journal_path.rename(settings.journal_path.with_name("elsewhere"))
    assert client.get("/readyz").status_code == 503


def test_the_health_routes_need_no_sidecar(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "alive"}
    assert client.get("/readyz").json == {"status": "ready"}


@pytest.mark.parametrize("version", ["x", "1.x", "", "1.0.0a", "9" * 5000])
@pytest.mark.parametrize("kind", ["application/openmetrics-text", "text/plain"])
def test_a_scrape_with_an_invalid_version_gets_the_text_format(client: FlaskClient, kind: str, version: str) -> None:
    answer = client.get("/metrics", headers={"Accept": f"{kind};version={version}"})
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")

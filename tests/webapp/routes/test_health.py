import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from common.settings import Settings


def test_a_worker_exposes_its_process_metrics_and_no_totals(client: FlaskClient) -> None:
    answer = client.get("/metrics")
    names = {family.name for family in text_string_to_metric_families(answer.text)}
    assert "process_resident_memory_bytes" in names
    assert not any(name.startswith(("trading_", "sidecar_", "webapp_")) for name in names)
    openmetrics = client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert openmetrics.mimetype == "application/openmetrics-text"


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

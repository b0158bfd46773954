from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families


def test_a_worker_exposes_its_own_process_and_no_totals(client: FlaskClient) -> None:
    answer = client.get("/metrics")
    names = {family.name for family in text_string_to_metric_families(answer.text)}
    assert "process_resident_memory_bytes" in names
    assert not any(name.startswith(("trading_", "sidecar_", "webapp_")) for name in names)
    asked = client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert asked.mimetype == "application/openmetrics-text"


def test_health_needs_no_sidecar(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "alive"}
    assert client.get("/readyz").json == {"status": "ready"}

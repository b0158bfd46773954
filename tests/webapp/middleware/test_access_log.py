import logging
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import GOOD


@pytest.fixture(autouse=True)
def _log_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def access(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [line for line in caplog.records if line.name == "webapp.middleware.access_log"]


def test_a_request_has_one_line(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    answer = client.post("/trade", json=GOOD, headers={"X-Request-ID": "desk-7.a_B"})
    assert answer.headers["X-Request-ID"] == "desk-7.a_B"
    client.get(answer.headers["Location"])
    first, second = access(caplog)
    assert (first.request_id, first.method, first.route, first.status) == ("desk-7.a_B", "POST", "/trade", 201)
    assert first.duration_ms > 0
    assert not hasattr(first, "reason")
    assert second.route == "/trades/<event_id>"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "ü", "a;b"])
def test_a_malformed_request_id_is_replaced(client: FlaskClient, given: str) -> None:
    request_id = client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert request_id != given
    assert len(request_id) == 36


def test_a_rejection_is_logged_once_with_its_reason(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    client.post("/trade", json={})
    client.post("/trade", data="{", content_type="application/json")
    client.post("/trade", data="x")
    client.post("/trade", data={"symbol": "x"})
    client.get("/nope/secret-path")
    assert [line.reason for line in access(caplog)] == [
        "invalid",
        "json",
        "unsupported_media_type",
        "csrf",
        "not_found",
    ]
    assert access(caplog)[-1].route == "(unmatched)"
    assert not any("secret-path" in line.getMessage() for line in caplog.records)


def test_a_server_error_is_answered_and_logged_with_its_request_id(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/bug")
    def fail() -> str:
        message = "secret detail"
        raise RuntimeError(message)

    answer = app.test_client().get("/bug", headers={"X-Request-ID": "r-1"})
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    failed: Any
    (failed,) = [line for line in caplog.records if line.message == "request failed"]
    assert failed.request_id == "r-1"
    assert failed.exc_info is not None

import logging
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import GOOD


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> list[Any]:
    caplog.set_level(logging.INFO)
    return caplog.records


def access(lines: list[Any]) -> list[Any]:
    return [line for line in lines if line.name == "webapp.access"]


def test_a_request_has_one_line_with_its_id_route_status_and_duration(client: FlaskClient, lines: list[Any]) -> None:
    answer = client.post("/trade", json=GOOD, headers={"X-Request-ID": "desk-7.a_B"})
    assert answer.headers["X-Request-ID"] == "desk-7.a_B"
    client.get(answer.headers["Location"])
    first, second = access(lines)
    assert (first.request_id, first.method, first.route, first.status) == ("desk-7.a_B", "POST", "/trade", 201)
    assert first.duration_ms > 0
    assert not hasattr(first, "reason")
    assert second.route == "/trades/<event_id>"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "ü", "a;b"])
def test_an_ill_formed_request_id_is_replaced(client: FlaskClient, given: str) -> None:
    made = client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert made != given
    assert len(made) == 36


def test_a_refusal_is_logged_once_with_its_reason(client: FlaskClient, lines: list[Any]) -> None:
    client.post("/trade", json={})
    client.post("/trade", data="{", content_type="application/json")
    client.post("/trade", data="x")
    client.post("/trade", data={"symbol": "x"})
    client.get("/nope/secret-path")
    assert [line.reason for line in access(lines)] == [
        "invalid",
        "json",
        "unsupported_media_type",
        "csrf",
        "not_found",
    ]
    assert access(lines)[-1].route == "(unmatched)"
    assert not any("secret-path" in line.getMessage() for line in lines)


def test_a_bug_is_answered_and_logged_with_its_request_id(app: Flask, lines: list[Any]) -> None:
    @app.get("/bug")
    def fail() -> str:
        message = "secret detail"
        raise RuntimeError(message)

    answer = app.test_client().get("/bug", headers={"X-Request-ID": "r-1"})
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    (failed,) = [line for line in lines if line.message == "request failed"]
    assert failed.request_id == "r-1"
    assert failed.exc_info is not None

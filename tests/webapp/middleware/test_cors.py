from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from common.settings import Settings
from tests.webapp.conftest import GOOD
from webapp import create_app


def preflight(client: FlaskClient, origin: str, route: str = "/trade") -> str | None:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "Content-Type",
    }
    return client.options(route, headers=headers).headers.get("Access-Control-Allow-Origin")


def test_no_other_origin_is_allowed_by_default(client: FlaskClient) -> None:
    assert preflight(client, "https://desk.example") is None
    answer = client.post("/trade", json=GOOD, headers={"Origin": "https://desk.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_the_origins_of_the_settings_are_allowed_on_the_api_only(settings: Settings) -> None:
    client = create_app(
        replace(settings, webapp_cors_origins=("https://desk.example", "http://[::1]:3000"))
    ).test_client()
    assert preflight(client, "https://desk.example") == "https://desk.example"
    assert preflight(client, "http://[::1]:3000") == "http://[::1]:3000"
    assert preflight(client, "https://evil.example") is None
    assert preflight(client, "https://desk.example.evil.example") is None
    assert preflight(client, "https://deskXexample") is None
    assert preflight(client, "https://desk.example", "/") is None
    assert preflight(client, "https://desk.example", "/readyz") is None
    answer = client.get("/trades", headers={"Origin": "https://desk.example"})
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_a_foreign_page_cannot_send_a_trade_without_a_preflight(client: FlaskClient, kind: str) -> None:
    for headers, statuses in (({"Origin": "https://evil.example"}, {403}), ({}, {400, 415})):
        answer = client.post("/trade", data='{"symbol":"BTC"}', content_type=kind, headers=headers)
        assert answer.status_code in statuses

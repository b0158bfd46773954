"""Which pages may use the API: origin × method × headers × route, asked as a browser asks (Fetch standard, 4.8)."""

from dataclasses import replace
from itertools import product

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.journal.store import Journal
from common.settings import Settings
from tests.webapp.conftest import GOOD
from webapp import create_app
from webapp.services import services

CONFIGURED = ("https://desk.example", "http://[::1]:3000")
ORIGINS = {
    "https://desk.example": True,
    "http://[::1]:3000": True,
    "http://desk.example": False,
    "https://desk.example:8443": False,
    "https://desk.example.evil.example": False,
    "https://deskXexample": False,
    "https://evil.example": False,
    "null": False,
}
METHODS = {"GET": True, "POST": True, "PUT": False, "PATCH": False, "DELETE": False}
HEADERS = {
    "Authorization": True,
    "Content-Type": True,
    "Idempotency-Key": True,
    "X-Request-ID": True,
    "authorization,content-type,idempotency-key,x-request-id": True,
    "X-CSRFToken": False,
    "Content-Type,X-Evil": False,
}
API = {"/trade", "/trades", "/trades/x"}
UNKNOWN = {"/tradesx", "/trade-x", "/x/trades", "/nope"}
"""Paths of no route; the other paths, which no page of another origin may use, are those of the application."""


def list_routes(app: Flask) -> set[str]:
    routes = {rule.rule.replace("<event_id>", "x").replace("<path:filename>", "x") for rule in app.url_map.iter_rules()}
    assert routes > API
    return routes | UNKNOWN


def split(header: str | None) -> set[str]:
    return {each.strip().lower() for each in (header or "").split(",")}


def is_allowed(client: FlaskClient, origin: str, method: str, headers: str, route: str) -> bool:
    """Send the preflight of a request, and decide on the answer as a browser does."""
    preflight = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }
    answer = client.options(route, headers=preflight).headers
    assert "Access-Control-Allow-Credentials" not in answer
    return (
        answer.get("Access-Control-Allow-Origin") in {origin, "*"}
        and (method in {"GET", "POST"} or method.lower() in split(answer.get("Access-Control-Allow-Methods")))
        and split(headers) <= split(answer.get("Access-Control-Allow-Headers"))
    )


def find_wrong(app: Flask, origins: dict[str, bool]) -> list[tuple[str, str, str, str]]:
    """Return the requests that are allowed but must not be, or the other way round."""
    client = app.test_client()
    return [
        (origin, method, headers, route)
        for origin, method, headers, route in product(origins, METHODS, HEADERS, sorted(list_routes(app)))
        if is_allowed(client, origin, method, headers, route)
        != (origins[origin] and METHODS[method] and HEADERS[headers] and route in API)
    ]


def test_a_page_of_a_configured_origin_may_use_the_api_and_nothing_else(settings: Settings) -> None:
    assert find_wrong(create_app(replace(settings, webapp_cors_origins=CONFIGURED)), ORIGINS) == []


def test_no_other_origin_is_allowed_by_default(app: Flask) -> None:
    assert find_wrong(app, dict.fromkeys(ORIGINS, False)) == []


def test_with_a_wildcard_every_origin_is_allowed(settings: Settings) -> None:
    assert find_wrong(create_app(replace(settings, webapp_cors_origins=("*",))), dict.fromkeys(ORIGINS, True)) == []


@pytest.mark.parametrize("configured", [(), CONFIGURED], ids=["default", "configured"])
@pytest.mark.parametrize("origin", ORIGINS)
def test_a_page_of_another_origin_can_neither_write_nor_read(
    settings: Settings, journal: Journal, origin: str, configured: tuple[str, ...]
) -> None:
    app = create_app(replace(settings, webapp_cors_origins=configured))
    allowed = origin in configured
    client = app.test_client()
    written = client.post("/trade", json=GOOD, headers={"Origin": origin})
    read = client.get("/trades", headers={"Origin": origin})
    assert (written.status_code, read.status_code) == (201 if allowed else 403, 200)
    assert journal.last_seq() == allowed
    for answer in (written, read):
        assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
        assert ("x-request-id" in split(answer.headers.get("Access-Control-Expose-Headers"))) == allowed
    services(app).close()


@pytest.mark.parametrize(("kind", "status"), [("text/plain", 415), ("application/x-www-form-urlencoded", 403)])
def test_a_foreign_page_cannot_send_a_trade_without_a_preflight(client: FlaskClient, kind: str, status: int) -> None:
    for headers, expected in (({"Origin": "https://evil.example"}, 403), ({}, status)):
        answer = client.post("/trade", data='{"symbol":"BTC"}', content_type=kind, headers=headers)
        assert answer.status_code == expected

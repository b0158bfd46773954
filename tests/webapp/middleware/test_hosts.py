from dataclasses import replace
from html import unescape

import pytest
from flask.testing import FlaskClient

from common.journal.store import Journal
from common.settings import Settings
from tests.webapp.conftest import GOOD, read_token
from webapp import create_app
from webapp.services import services

EVIL = {"Host": "evil.example:8000"}


@pytest.mark.parametrize(
    "route",
    ["/", "/trades", "/trades/x", "/feed", "/market", "/pipeline", "/blotter", "/blotter.csv", "/metrics", "/nope"],
)
def test_a_request_with_another_host_reads_nothing(client: FlaskClient, route: str) -> None:
    answer = client.get(route, headers=EVIL)
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
    assert answer.json is not None
    assert answer.json["reason"] == "host"
    assert "evil.example" in answer.json["detail"]
    assert "ALLOWED_HOSTS" in answer.json["detail"]


def test_a_request_with_another_host_writes_nothing(client: FlaskClient, journal: Journal) -> None:
    for origin in ({}, {"Origin": "http://evil.example:8000"}):
        assert client.post("/trade", json=GOOD, headers=EVIL | origin).status_code == 400
    assert journal.last_seq() == 0


@pytest.mark.parametrize("route", ["/static/app.css", "//trades", "/healthz/", "/healthz/../trades"])
def test_static_files_and_paths_like_the_health_routes_are_checked(client: FlaskClient, route: str) -> None:
    answer = client.get(route, headers=EVIL)
    assert answer.status_code == 400
    assert "Location" not in answer.headers


@pytest.mark.parametrize("route", ["/healthz", "/readyz"])
@pytest.mark.parametrize("host", ["evil.example", "web_1:8000", "", "[", "ü"])
def test_the_health_routes_accept_any_host(client: FlaskClient, route: str, host: str) -> None:
    assert client.get(route, headers={"Host": host}).status_code == 200


def test_hosts_of_the_settings_are_accepted(settings: Settings) -> None:
    client = create_app(replace(settings, webapp_http_host="web", allowed_hosts=("desk.example",))).test_client()
    for host in ("web:8000", "desk.example", "DESK.example:443", "10.1.2.3", "[::1]:8000", "app.localhost"):
        assert client.get("/trades", headers={"Host": host}).status_code == 200
    assert client.get("/trades", headers={"Host": "host.docker.internal"}).status_code == 400


def test_the_curl_line_and_redirects_have_the_host_of_the_request(client: FlaskClient) -> None:
    page = client.get("/", headers={"Host": "127.0.0.1:8123"}).text
    assert "curl http://127.0.0.1:8123/trade " in unescape(page)
    answer = client.get("//trades", headers={"Host": "127.0.0.1:8123"})
    assert (answer.status_code, answer.headers["Location"]) == (308, "http://127.0.0.1:8123/")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:81", "http://127.0.0.1", ""])
def test_a_write_from_a_foreign_origin_is_forbidden(client: FlaskClient, journal: Journal, origin: str) -> None:
    token = read_token(client.get("/").text)
    for answer in (
        client.post("/trade", json=GOOD, headers={"Origin": origin}),
        client.post("/trade", data=GOOD | {"csrf_token": token}, headers={"Origin": origin}),
        client.put("/nope", headers={"Origin": origin}),
    ):
        assert answer.status_code == 403
        assert answer.json is not None
        assert answer.json["reason"] == "origin"
    assert journal.last_seq() == 0
    assert client.get("/trades", headers={"Origin": origin}).status_code == 200


def test_a_write_from_the_desk_or_a_program_is_accepted(client: FlaskClient) -> None:
    for headers in ({}, {"Origin": "http://localhost"}, {"Origin": "https://localhost"}):
        assert client.post("/trade", json=GOOD, headers=headers).status_code == 201
    token = read_token(client.get("/").text)
    form = GOOD | {"csrf_token": token}
    assert client.post("/trade", data=form, headers={"Origin": "http://localhost"}).status_code == 303


def test_a_write_from_an_origin_of_the_settings_is_accepted(settings: Settings) -> None:
    app = create_app(replace(settings, webapp_cors_origins=("https://app.example",)))
    client = app.test_client()
    assert client.post("/trade", json=GOOD, headers={"Origin": "https://app.example"}).status_code == 201
    assert client.post("/trade", json=GOOD, headers={"Origin": "https://bpp.example"}).status_code == 403
    services(app).close()


def test_a_request_of_http_1_1_must_have_a_host(client: FlaskClient) -> None:
    # The test client always sends a Host.
    def get_status(protocol: str, target: str) -> int:
        environ = {"SERVER_PROTOCOL": protocol, "RAW_URI": target, "HTTP_HOST": None}
        return client.get("/trades", environ_overrides=environ).status_code

    assert get_status("HTTP/1.1", "/trades") == 400
    assert get_status("HTTP/1.0", "/trades") == 200
    assert get_status("HTTP/1.0", "http://evil.example/trades") == 400

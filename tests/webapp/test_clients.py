"""Who is believed about a request's address, scheme, host and prefix."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network

import pytest
from flask import Flask, request
from flask.testing import FlaskClient

from common.settings import Settings
from tests.webapp.conftest import GOOD
from webapp import create_app
from webapp.clients import Proxies, is_forwarded, read_address
from webapp.services import services

PROXY = {"REMOTE_ADDR": "10.0.0.1"}
HEADERS = {
    "X-Forwarded-For": "198.51.100.9, 203.0.113.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "desk.example",
    "X-Forwarded-Prefix": "/desk/",
}


@pytest.fixture
def behind(settings: Settings) -> Iterator[FlaskClient]:
    networks = (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    app = create_app(replace(settings, auth="off", trusted_proxies=networks, allowed_hosts=("desk.example",)))
    yield app.test_client()
    services(app).close()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7:8080 ", "203.0.113.7"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("2001:DB8::7", "2001:db8::7"),
        ("fe80::7%eth0", "fe80::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("unknown", None),
        ("_hidden", None),
        ("203.0.113", None),
        ("", None),
    ],
)
def test_an_address_is_read_in_the_forms_that_proxies_write(text: str, address: str | None) -> None:
    found = read_address(text)
    assert (None if found is None else str(found)) == address


@pytest.mark.parametrize(
    ("peer", "site"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", None),
        ("127.8.0.1", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("10.2.3.4", None),
    ],
)
def test_clients_are_counted_by_site_and_loopback_and_proxies_are_not_limited(peer: str, site: str | None) -> None:
    assert Proxies([ip_network("10.0.0.0/8")]).find_site(peer) == site


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("198.51.100.9, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 10.2.3.4, ::1", "203.0.113.7"),
        ("10.2.3.4", "10.2.3.4"),
        ("203.0.113.7, nonsense, 10.2.3.4", "10.2.3.4"),
        ("nonsense", "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_is_not_a_trusted_proxy(forwarded_for: str, client: str) -> None:
    environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": forwarded_for}
    Proxies([ip_network("10.0.0.0/8"), ip_network("::1/128")]).resolve(environ)
    assert environ["REMOTE_ADDR"] == client


@pytest.mark.parametrize("prefix", ["//evil.example", "desk", "/desk/../x", "/desk?x", "/de sk", "/" + "x" * 128])
def test_a_prefix_that_is_no_path_is_ignored(prefix: str) -> None:
    environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_PREFIX": prefix, "SCRIPT_NAME": ""}
    Proxies([ip_network("10.0.0.0/8")]).resolve(environ)
    assert environ["SCRIPT_NAME"] == ""


def test_a_trusted_proxy_sets_address_scheme_host_and_prefix(
    behind: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "webapp.middleware.access_log"):
        accepted = behind.post("/trade", json=GOOD, headers=HEADERS, environ_base=PROXY)
    assert accepted.status_code == 201
    assert accepted.headers["Location"].startswith("/desk/trades/")
    assert accepted.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert caplog.records[-1].__dict__["client"] == "203.0.113.7"

    page = behind.get("/", headers=HEADERS, environ_base=PROXY)
    assert 'href="/desk/static/app.css"' in page.text
    assert "curl https://desk.example/desk/trade" in page.text
    cookie = page.headers["Set-Cookie"]
    assert {"Secure", "HttpOnly", "Path=/desk", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}


def test_any_other_client_sets_nothing(behind: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    stranger = {"REMOTE_ADDR": "192.0.2.5"}
    with caplog.at_level(logging.INFO, "webapp.middleware.access_log"):
        accepted = behind.post("/trade", json=GOOD, headers=HEADERS, environ_base=stranger)
    assert accepted.headers["Location"].startswith("/trades/")
    assert "Strict-Transport-Security" not in accepted.headers
    assert caplog.records[-1].__dict__["client"] == "192.0.2.5"
    cookie = behind.get("/", headers=HEADERS, environ_base=stranger).headers["Set-Cookie"]
    assert "Secure" not in cookie
    assert "Path=/;" in cookie + ";"


def test_a_forwarded_host_is_checked_like_any_other(behind: FlaskClient) -> None:
    headers = HEADERS | {"X-Forwarded-Host": "evil.example"}
    assert behind.get("/", headers=headers, environ_base=PROXY).status_code == 400
    # What a stranger reports is not even looked at.
    assert behind.get("/", headers=headers, environ_base={"REMOTE_ADDR": "192.0.2.5"}).status_code == 200


@pytest.mark.parametrize(
    ("header", "forwarded"),
    [
        ("Forwarded", True),
        ("X-Forwarded-For", True),
        ("X-Forwarded-Proto", True),
        ("X-Forwarded-Anything", True),
        ("X-Real-IP", True),
        ("X-Request-ID", False),
        ("Origin", False),
    ],
)
def test_a_request_is_forwarded_by_its_headers(app: Flask, header: str, *, forwarded: bool) -> None:
    with app.test_request_context(headers={header: "x"}):
        assert is_forwarded(request) is forwarded

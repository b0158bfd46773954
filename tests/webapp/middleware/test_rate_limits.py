"""Which requests are limited, by what, and how they are answered."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from common.credentials import WRITE, hash_token, make_token
from common.journal.credentials import Term, add_token
from common.journal.store import Journal
from common.settings import Settings
from common.timestamps import format_timestamp, now
from tests.webapp.conftest import GOOD
from webapp import create_app
from webapp.rate_limit import RateLimit
from webapp.services import services

FAR = {"REMOTE_ADDR": "192.0.2.7"}


@pytest.fixture
def limited(settings: Settings) -> Iterator[Flask]:
    few = replace(settings, auth="off", writes_per_second=1, sign_ins_per_minute=1)
    app = create_app(replace(few, trusted_proxies=(ip_network("10.0.0.0/8"),)))
    # A clock that stands still: with a real one, a slow test would wait long enough to be allowed more.
    services(app).write_limit = RateLimit(1, 2, clock=lambda: 0.0)
    services(app).sign_in_limit = RateLimit(1 / 60, 5, clock=lambda: 0.0)
    yield app
    services(app).close()


def test_a_write_above_the_limit_is_answered_counted_and_logged(
    limited: Flask, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    client = limited.test_client()
    with caplog.at_level(logging.INFO, "webapp.middleware.access_log"):
        answers = [client.post("/trade", json=GOOD, environ_base=FAR) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert journal.last_seq() == 2
    rejected = answers[-1]
    assert rejected.headers["Retry-After"] == "1"
    assert rejected.mimetype == "application/problem+json"
    problem = rejected.json
    assert problem is not None
    assert problem["reason"] == "rate_limit"
    assert problem["detail"] == "Your address has sent too many requests; try again after 1 s"
    line = caplog.records[-1].__dict__
    assert (line["status"], line["reason"], line["client"]) == (429, "rate_limit", "192.0.2.7")
    registry = services(limited).metrics.registry
    assert registry.get_sample_value("webapp_trades_rejected_total", {"reason": "rate_limit"}) == 1


def test_a_token_has_one_limit_from_all_its_addresses(limited: Flask, journal: Journal) -> None:
    client = limited.test_client()
    headers = {}
    for name in ("first", "second"):
        text = make_token()
        assert add_token(journal, name, hash_token(text), (WRITE,), Term(format_timestamp(now()), None))
        headers[name] = {"Authorization": f"Bearer {text}"}

    def post(name: str, address: str) -> TestResponse:
        return client.post("/trade", json=GOOD, headers=headers[name], environ_base={"REMOTE_ADDR": address})

    assert [post("first", f"192.0.2.{number}").status_code for number in range(3)] == [201, 201, 429]
    assert post("second", "192.0.2.1").status_code == 201
    answer = post("first", "192.0.2.99")
    assert answer.json is not None
    assert answer.json["detail"] == "The token first has sent too many requests; try again after 1 s"


def test_reads_and_clients_on_loopback_are_not_limited(limited: Flask) -> None:
    client = limited.test_client()
    assert {client.get("/trades", environ_base=FAR).status_code for _ in range(9)} == {200}
    assert {client.post("/trade", json=GOOD).status_code for _ in range(9)} == {201}
    loopback = {"REMOTE_ADDR": "::1"}
    assert {client.post("/trade", json=GOOD, environ_base=loopback).status_code for _ in range(9)} == {201}


@pytest.mark.parametrize(
    ("first", "second", "is_shared"),
    [
        ("192.0.2.7", "192.0.2.8", False),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
    ],
)
def test_addresses_have_limits_of_their_own_and_one_site_has_one(
    limited: Flask, first: str, second: str, *, is_shared: bool
) -> None:
    client = limited.test_client()
    for _ in range(3):
        client.post("/trade", json=GOOD, environ_base={"REMOTE_ADDR": first})
    answer = client.post("/trade", json=GOOD, environ_base={"REMOTE_ADDR": second})
    assert answer.status_code == (429 if is_shared else 201)


def test_behind_a_trusted_proxy_the_clients_own_address_counts(limited: Flask) -> None:
    client = limited.test_client()
    proxy = {"REMOTE_ADDR": "10.0.0.1"}
    codes = {
        address: [
            client.post("/trade", json=GOOD, environ_base=proxy, headers={"X-Forwarded-For": address}).status_code
            for _ in range(3)
        ]
        for address in ("192.0.2.7", "192.0.2.8")
    }
    assert list(codes.values()) == [[201, 201, 429]] * 2


def test_attempts_to_sign_in_have_their_own_limit(limited: Flask) -> None:
    client = limited.test_client()
    codes = [client.post("/sign-in", data={}, environ_base=FAR).status_code for _ in range(6)]
    assert 429 not in codes[:5]
    assert codes[5] == 429
    assert client.post("/trade", json=GOOD, environ_base=FAR).status_code == 201

"""Each problem that a route's description names can be provoked."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
from flask import Flask, Request
from werkzeug.exceptions import RequestTimeout
from werkzeug.test import TestResponse

from common.errors import CredentialError, KeyInFlightError
from common.journal.store import Journal
from common.settings import Settings
from tests.webapp.conftest import GOOD
from tests.webapp.described import describe_api
from webapp import create_app
from webapp.credentials import ANYONE
from webapp.middleware.hosts import ANY_NAME
from webapp.services import services
from webapp.sidecar import SidecarAnswer, SidecarClient

EVERYWHERE = [("400", "host"), ("500", "bug")]

NOT_PLAIN = {"X-Other": "1"}
"""With this header ``POST /trade`` is answered by Flask (``webapp/routes/plain_trade.py``)."""
BODIES: dict[str, Any] = {"/trade": GOOD, "/trades": [GOOD], "/hooks/{token}": GOOD}


def fill(path: str) -> str:
    return path.replace("{event_id}", "x").replace("{token}", "open")


def list_cases() -> Iterator[tuple[str, str, str, str]]:
    for path, methods in describe_api()["paths"].items():
        for method, operation in methods.items():
            for status, reason in [*operation["x-problems"], *EVERYWHERE]:
                if reason != "host" or path not in ANY_NAME:
                    yield method, path, status, reason


@pytest.fixture
def send(app: Flask, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> "Sender":
    return Sender(app, settings, monkeypatch)


class Sender:
    """Sends a request that is accepted, or one that is rejected for a reason."""

    def __init__(self, app: Flask, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.app = app
        self.settings = settings
        self.monkeypatch = monkeypatch

    def send(self, method: str, path: str, app: Flask | None = None, **options: Any) -> TestResponse:  # noqa: ANN401 - those of werkzeug's client
        if path in BODIES and method == "post" and not {"data", "json"} & set(options):
            options["json"] = BODIES[path]
        client = (app or self.app).test_client()
        return client.open(fill(path), method=method.upper(), **options)

    def raise_from(self, target: object, name: str, error: Exception) -> None:
        def fail(*_: object, **__: object) -> NoReturn:
            raise error

        self.monkeypatch.setattr(target, name, fail)

    def host(self, method: str, path: str) -> TestResponse:
        return self.send(method, path, headers={"Host": "evil.example"})

    def origin(self, method: str, path: str) -> TestResponse:
        return self.send(method, path, headers={"Origin": "https://evil.example"})

    def bug(self, method: str, path: str) -> TestResponse:
        endpoint = self.app.url_map.bind("").match(fill(path), method=method.upper())[0]
        view = self.app.view_functions[endpoint]
        # With what the view needs and its description.
        self.monkeypatch.setitem(self.app.view_functions, endpoint, functools.wraps(view)(lambda **_: 1 / 0))
        return self.send(method, path, headers=NOT_PLAIN)

    def bad_request(self, method: str, path: str) -> TestResponse:
        if method == "get":
            return self.send(method, path, query_string="symbol=%ff")
        if path in {"/hooks/{token}", "/sign-in", "/sign-out"}:
            return self.send(method, path, data="symbol=%ff", content_type="application/x-www-form-urlencoded")
        return self.send(method, path, headers={"Idempotency-Key": ""})

    def invalid(self, method: str, path: str) -> TestResponse:
        if method == "get":
            return self.send(method, path, query_string={"limit": "x"})
        return self.send(method, path, json=[{}] if path == "/trades" else {})

    def json(self, method: str, path: str) -> TestResponse:
        return self.send(method, path, data=b"{", content_type="application/json")

    def csrf(self, method: str, path: str) -> TestResponse:
        user = ANYONE._replace(kind="user")
        self.monkeypatch.setattr(services(self.app).credentials, "identify", lambda *_: user)
        return self.send(method, path, json=GOOD)

    def not_found(self, method: str, path: str) -> TestResponse:
        return self.send(method, path.replace("{token}", "x"))

    def request_timeout(self, method: str, path: str) -> TestResponse:
        self.raise_from(Request, "get_data", RequestTimeout("The body did not arrive within 10 s"))
        return self.send(method, path, headers=NOT_PLAIN)

    def too_large(self, method: str, path: str) -> TestResponse:
        form = path in {"/sign-in", "/sign-out"}
        kind = "application/x-www-form-urlencoded" if form else "application/json"
        return self.send(method, path, data=b" " * 9_000_000, content_type=kind)

    def unsupported_media_type(self, method: str, path: str) -> TestResponse:
        return self.send(method, path, data=b"x", content_type="text/csv")

    def unusual_price(self, method: str, path: str) -> TestResponse:
        self.send(method, path)
        self.monkeypatch.setattr("webapp.routes.trade_form.TradeForm.validate", lambda _: True)
        headers = {"Prefer": "return=representation"}
        return self.send(method, path, data=GOOD | {"price": "1"}, headers=headers)

    def key_reused(self, method: str, path: str) -> TestResponse:
        headers = {"Idempotency-Key": "k"}
        assert self.send(method, path, headers=headers).status_code == 201
        other = GOOD | {"price": "1"}
        return self.send(method, path, headers=headers, json=[other] if path == "/trades" else other)

    def hub(self, method: str, path: str) -> TestResponse:
        with Journal(self.settings.journal_path) as journal:
            journal.adopt()
        return self.send(method, path)

    def key_in_flight(self, method: str, path: str) -> TestResponse:
        self.raise_from(services(self.app).publisher, "accept", KeyInFlightError("key_in_flight", "It is in flight"))
        return self.send(method, path)

    def journal(self, method: str, path: str) -> TestResponse:
        self.settings.journal_path.mkdir()
        self.monkeypatch.setattr("webapp.routes.sign_in.SignInForm.validate", lambda _: True)
        return self.send(method, path)

    def downloads_limit(self, method: str, path: str) -> TestResponse:
        slots = services(self.app).download_slots
        while slots.acquire(blocking=False):
            pass
        return self.send(method, path)

    def positions_off(self, method: str, path: str) -> TestResponse:
        return self.answer_from_sidecar(method, path, SidecarAnswer(404, b'{"reason": "positions_off"}'))

    def sidecar_unreachable(self, method: str, path: str) -> TestResponse:
        return self.answer_from_sidecar(method, path, None)

    def answer_from_sidecar(self, method: str, path: str, answer: SidecarAnswer | None) -> TestResponse:
        self.monkeypatch.setattr(SidecarClient, "get", lambda *_: answer)
        return self.send(method, path)

    def no_credential(self, method: str, path: str) -> TestResponse:
        return self.without_credential(method, path, "no_credential")

    def token_unknown(self, method: str, path: str) -> TestResponse:
        return self.without_credential(method, path, "token_unknown")

    def token_expired(self, method: str, path: str) -> TestResponse:
        return self.without_credential(method, path, "token_expired")

    def token_revoked(self, method: str, path: str) -> TestResponse:
        return self.without_credential(method, path, "token_revoked")

    def without_credential(self, method: str, path: str, reason: str) -> TestResponse:
        self.raise_from(services(self.app).credentials, "identify", CredentialError(reason, "No."))
        return self.send(method, path)

    def session_ended(self, method: str, path: str) -> TestResponse:
        return self.without_credential(method, path, "session_ended")

    def scope(self, method: str, path: str) -> TestResponse:
        powerless = ANYONE._replace(scopes=frozenset())
        self.monkeypatch.setattr(services(self.app).credentials, "identify", lambda *_: powerless)
        return self.send(method, path)

    def forwarded(self, method: str, path: str) -> TestResponse:
        return self.send(method, path, headers={"X-Forwarded-For": "192.0.2.1"})

    def rate_limit(self, method: str, path: str) -> TestResponse:
        mine = services(self.app)
        for limit in (mine.write_limit, mine.sign_in_limit):
            self.monkeypatch.setattr(limit, "take", lambda _: 2.5)
        return self.send(method, path, environ_overrides={"REMOTE_ADDR": "192.0.2.1"})

    def service_unavailable(self, method: str, path: str) -> TestResponse:
        if path == "/sign-in":
            slots = services(self.app).password_slots
            self.monkeypatch.setattr(slots, "acquire", lambda **_: False)
            self.monkeypatch.setattr("webapp.routes.sign_in.SignInForm.validate", lambda _: True)
            return self.send(method, path)
        app = create_app(dataclasses.replace(self.settings, feed_max_clients=0))
        return self.send(method, path, app)


@pytest.mark.parametrize(("method", "path", "status", "reason"), list(list_cases()))
def test_a_described_problem_can_be_provoked(send: Sender, method: str, path: str, status: str, reason: str) -> None:
    answer = getattr(send, reason)(method, path)
    assert answer.status_code == int(status)
    assert answer.json is not None
    given = answer.json["reason"]
    assert given == reason or (reason == "journal" and given.startswith("journal_"))

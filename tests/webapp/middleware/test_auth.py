"""Who may call what: every route × credential × mode, made from the URL map, so that a new route must be classified."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any, NamedTuple

import flask
import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_wtf.csrf import generate_csrf  # type: ignore[import-untyped]

from common.credentials import HOOK, READ, ROLES, SCOPES, SESSION, WRITE, hash_token, make_token
from common.journal.credentials import (
    Term,
    add_token,
    add_user,
    end_sessions,
    list_tokens,
    list_users,
    revoke_token,
    rotate_token,
)
from common.journal.store import Journal
from common.settings import Settings
from common.timestamps import format_timestamp, now
from tests.waiting import wait_for
from tests.webapp.conftest import GOOD
from webapp import create_app
from webapp.credentials import Credentials
from webapp.middleware.auth import OPEN, PATH, find_hook, find_need
from webapp.reader import JournalReader
from webapp.services import services
from webapp.worker_metrics import AUTH_FAILURES

NEEDS = {
    "GET /static/<path:filename>": OPEN,
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /": READ,
    "GET /favicon.ico": READ,
    "GET /trades": READ,
    "GET /trades/<event_id>": READ,
    "GET /feed": READ,
    "GET /market": READ,
    "GET /market/bars": READ,
    "GET /market/symbols": READ,
    "GET /pipeline": READ,
    "GET /positions": READ,
    "GET /positions.csv": READ,
    "GET /blotter": READ,
    "GET /blotter.csv": READ,
    "GET /blotter.json": READ,
    "GET /metrics": READ,
    "GET /openapi.json": READ,
    "GET /docs": READ,
    "POST /trade": WRITE,
    "POST /trades": WRITE,
    "POST /hooks/<token>": PATH,
    "GET /sign-in": OPEN,
    "POST /sign-in": OPEN,
    "POST /sign-out": SESSION,
}
"""What each route needs: one that is not here fails the tests."""

CREDENTIALS = ("nothing", "wrong", "malformed", "basic", "expired", "revoked", "other scopes", "right")
MODES = ("open", "locked", "required", "off")
REASONS = {
    "nothing": "no_credential",
    "wrong": "token_unknown",
    "malformed": "token_unknown",
    "basic": "token_unknown",
    "expired": "token_expired",
    "revoked": "token_revoked",
}
AGO = format_timestamp(now() - timedelta(days=2))
YESTERDAY = format_timestamp(now() - timedelta(days=1))
FOREVER = Term(AGO, None)


def list_routes(app: Flask) -> list[tuple[str, str, str]]:
    """List the method, the rule and the endpoint of each route."""
    return [
        (method, rule.rule, rule.endpoint)
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


class Tokens(NamedTuple):
    """The text of a token of each kind."""

    by_scope: dict[str, str]
    by_others: dict[str, str]
    expired: str
    revoked: str

    def write_header(self, credential: str, need: str) -> dict[str, str]:
        text = {
            "wrong": make_token(),
            "malformed": "tt_x",
            "expired": self.expired,
            "revoked": self.revoked,
            "other scopes": self.by_others.get(need, self.by_others.get(READ)),
            "right": self.by_scope.get(need, self.by_scope.get(READ)),
        }.get(credential, "")
        if credential == "nothing":
            return {}
        return {"Authorization": "Basic dXNlcjpwYXNz" if credential == "basic" else f"Bearer {text}"}


def add(journal: Journal, name: str, scopes: set[str], term: Term = FOREVER) -> str:
    text = make_token()
    assert add_token(journal, name, hash_token(text), scopes, term)
    return text


def make_tokens(journal: Journal) -> Tokens:
    by_scope = {scope: add(journal, f"only-{scope[-4:]}", {scope}) for scope in SCOPES}
    by_others = {scope: add(journal, f"all-but-{scope[-4:]}", set(SCOPES) - {scope}) for scope in SCOPES}
    revoked = add(journal, "revoked", set(SCOPES))
    assert revoke_token(journal, "revoked", YESTERDAY)
    return Tokens(by_scope, by_others, add(journal, "expired", set(SCOPES), Term(AGO, YESTERDAY)), revoked)


@pytest.fixture
def tokens(journal: Journal) -> Tokens:
    return make_tokens(journal)


@pytest.fixture
def make_app(settings: Settings) -> Iterator[Callable[..., Flask]]:
    made: list[Flask] = []

    def make(**changed: Any) -> Flask:  # noqa: ANN401 - the settings
        made.append(create_app(replace(settings, **changed)))
        return made[-1]

    yield make
    for each in made:
        services(each).close()


def send(client: FlaskClient, method: str, rule: str, headers: dict[str, str], *, as_form: bool = False) -> Any:  # noqa: ANN401 - the test response
    path = rule.replace("<path:filename>", "app.css").replace("<event_id>", "x").replace("<token>", "x")
    body: Any = {"json": [GOOD] if rule == "/trades" else GOOD} if method == "POST" else {}
    if as_form and method == "POST":
        body = {"data": GOOD}
    # The feed does not end: only its headers are awaited.
    with client.open(path, method=method, headers=headers, **body) as answer:
        if "text/event-stream" not in answer.content_type:
            answer.get_data()
        return answer


def test_every_route_says_what_it_needs_and_is_classified_here(app: Flask) -> None:
    declared = {f"{method} {rule}": find_need(app, endpoint) for method, rule, endpoint in list_routes(app)}
    assert declared == NEEDS


@pytest.mark.parametrize("mode", MODES)
def test_a_request_is_answered_by_its_credential_and_the_need_of_its_route(
    make_app: Callable[..., Flask], journal: Journal, mode: str
) -> None:
    is_open = mode in {"open", "off"}
    tokens = make_tokens(journal) if mode != "open" else Tokens({}, {}, make_token(), make_token())
    app = make_app(auth={"required": "required", "off": "off"}.get(mode, "auto"))
    client = app.test_client()
    wrong = []
    for (method, rule, _), credential in product(list_routes(app), CREDENTIALS):
        need = NEEDS[f"{method} {rule}"]
        before = journal.last_seq()
        answer = send(client, method, rule, tokens.write_header(credential, need))
        written = journal.last_seq() - before
        is_allowed = is_open or need in {OPEN, PATH} or (credential == "right" and need in SCOPES)
        expected = None if is_allowed else REASONS.get(credential, "scope")
        reason = (answer.json or {}).get("reason") if answer.status_code in {401, 403} else None
        status_fits = answer.status_code == (403 if expected == "scope" else 401) if expected else True
        asks = answer.headers.get("WWW-Authenticate") == ("Bearer" if expected not in {None, "scope"} else None)
        if reason != expected or not status_fits or not asks or (written != (is_allowed and need == WRITE)):
            wrong.append((method, rule, credential, answer.status_code, reason, written))
    assert wrong == []


SESSIONS = ("viewer", "trader", "ended", "no token", "wrong token", "form without token")


def begin_session(app: Flask, journal: Journal, name: str) -> tuple[FlaskClient, str]:
    """Return a client with a session of this user, and the session's CSRF token."""
    client = app.test_client()
    (user,) = [user for user in list_users(journal) if user.name == name]
    at = time.time()
    with client.session_transaction() as session:
        session["sign_in"] = [journal.journal_id, name, user.session_version, at, at]
    with app.test_request_context(), client.session_transaction() as session:
        flask.session.update(session)
        token: str = generate_csrf()
        session.update(flask.session)
    return client, token


@pytest.mark.parametrize("mode", ["locked", "required", "off"])
def test_a_session_is_answered_by_its_role_and_writes_with_its_csrf_token_only(
    make_app: Callable[..., Flask], journal: Journal, mode: str
) -> None:
    is_open = mode == "off"
    for name in ("viewer", "trader", "ended"):
        assert add_user(journal, name, "viewer" if name == "viewer" else "trader", "", AGO)
    app = make_app(auth="auto" if mode == "locked" else mode)
    begun = {name: begin_session(app, journal, name) for name in ("viewer", "trader", "ended")}
    end_sessions(journal, "ended")
    wrong = []
    for (method, rule, _), kind in product(list_routes(app), SESSIONS):
        need, before = NEEDS[f"{method} {rule}"], journal.last_seq()
        name = kind if kind in begun else "trader"
        client, token = begun[name]
        sends_token = kind in begun
        headers = {"X-CSRFToken": token if sends_token else "forged"} if sends_token or kind == "wrong token" else {}
        answer = send(client, method, rule, headers, as_form=kind == "form without token")
        written = journal.last_seq() - before
        expected = None
        if not is_open and need not in {OPEN, PATH}:
            if name == "ended":
                expected = "session_ended"
            elif need not in ROLES["viewer" if name == "viewer" else "trader"]:
                expected = "scope"
            elif method == "POST" and not sends_token and (kind != "form without token" or rule != "/trades"):
                expected = "csrf"
        elif need == WRITE and kind == "form without token" and rule == "/trade":
            expected = "csrf"
        reason = (answer.json or {}).get("reason") if answer.status_code in {401, 403} else None
        writes = need == WRITE and expected is None and kind != "form without token"
        if reason != expected or written != writes:
            wrong.append((method, rule, kind, answer.status_code, reason, expected, written))
        if rule == "/sign-out" and reason is None and not is_open:
            begun[name] = begin_session(app, journal, name)
    assert wrong == []


def test_a_route_that_does_not_declare_what_it_needs_rejects_every_request(app: Flask) -> None:
    app.add_url_rule("/new", view_func=lambda: "secret", endpoint="new")
    answer = app.test_client().get("/new")
    assert (answer.status_code, (answer.json or {})["reason"]) == (403, "scope")


def test_what_is_no_route_and_a_preflight_need_no_credential(client: FlaskClient, tokens: Tokens) -> None:
    assert tokens
    assert client.get("/nope").status_code == 404
    assert client.put("/trade").status_code == 405
    preflight = client.options("/trades")
    assert (preflight.status_code, preflight.data) == (200, b"")
    assert client.head("/trades").status_code == 401
    assert client.open("/trade", method="BREW").status_code == 405


def test_failures_are_counted_by_reason_and_logged_once_without_the_token(
    app: Flask, client: FlaskClient, tokens: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    registry = services(app).metrics.registry

    def count(name: str, reason: str) -> float | None:
        return registry.get_sample_value(name, {"reason": reason})

    assert {count("webapp_auth_failures_total", reason) for reason in AUTH_FAILURES} == {0}
    assert client.post("/trade", json=GOOD, headers={"Authorization": f"Bearer {tokens.revoked}"}).status_code == 401
    assert client.get("/trades", headers={"Authorization": f"bearer {tokens.by_scope[WRITE]}"}).status_code == 403
    assert client.get("/trades", headers={"Authorization": f"Bearer {tokens.by_scope[READ]}"}).status_code == 200
    assert [count("webapp_auth_failures_total", reason) for reason in ("token_revoked", "scope")] == [1, 1]
    assert count("webapp_trades_rejected_total", "token_revoked") == 1
    lines: list[Any] = [line for line in caplog.records if line.message == "request"]
    assert [getattr(line, "reason", None) for line in lines] == ["token_revoked", "scope", None]
    assert [getattr(line, "token", None) for line in lines] == [None, "only-rite", "only-read"]
    texts = " ".join(str(vars(record)) for record in caplog.records)
    assert not any(text in texts for text in (tokens.revoked, *tokens.by_scope.values()))


def test_a_trade_has_the_tokens_name_as_its_source_unless_it_names_one(client: FlaskClient, journal: Journal) -> None:
    headers = {"Authorization": f"Bearer {add(journal, 'grid-bot', {WRITE})}"}
    client.post("/trade", json=GOOD, headers=headers)
    client.post("/trade", json=GOOD | {"source": "other-bot"}, headers=headers)
    client.post("/trades", json=[GOOD, GOOD | {"source": "third"}], headers=headers)
    assert [event.source for event in journal.read_after(0)] == ["grid-bot", "other-bot", "grid-bot", "third"]


def test_a_key_belongs_to_the_token_also_after_it_was_rotated(client: FlaskClient, journal: Journal) -> None:
    def write(text: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {text}", "Idempotency-Key": "k-1"}

    first, other = add(journal, "first", {WRITE}), add(journal, "second", {WRITE})
    assert client.post("/trade", json=GOOD, headers=write(first)).status_code == 201
    assert client.post("/trade", json=GOOD, headers=write(other)).headers.get("Idempotent-Replayed") is None
    assert journal.last_seq() == 2
    text = make_token()
    assert rotate_token(journal, "first", hash_token(text), FOREVER)

    def replayed() -> bool:
        return client.post("/trade", json=GOOD, headers=write(text)).headers.get("Idempotent-Replayed") == "true"

    wait_for(replayed, "the token is rotated")
    # Another source changes nothing: the token is the owner.
    answer = client.post("/trade", json=GOOD | {"source": "x"}, headers=write(text))
    assert (answer.status_code, (answer.json or {})["reason"]) == (422, "key_reused")
    batch = [GOOD | {"key": "k-1"}]
    assert client.post("/trades", json=batch, headers={"Authorization": f"Bearer {text}"}).json == {
        "accepted": 0,
        "duplicates": 1,
        "first_seq": None,
        "last_seq": None,
    }
    assert client.post("/trade", json=GOOD, headers=write(first)).status_code == 401
    assert journal.last_seq() == 2


def test_an_open_server_is_locked_by_the_first_token_and_stays_locked(client: FlaskClient, journal: Journal) -> None:
    assert client.get("/trades").status_code == 200
    add(journal, "first", {READ})
    wait_for(lambda: client.get("/trades").status_code == 401, "the server is locked")
    assert revoke_token(journal, "first", YESTERDAY)
    assert client.get("/trades").status_code == 401


def test_a_feed_ends_when_its_token_is_revoked(client: FlaskClient, journal: Journal) -> None:
    headers = {"Authorization": f"Bearer {add(journal, 'viewer', {READ})}"}
    with client.get("/feed", headers=headers, buffered=False) as answer:
        chunks = iter(answer.response)
        assert b"retry" in next(chunks)
        assert revoke_token(journal, "viewer", YESTERDAY)
        # Heartbeats follow each other until it ends.
        assert len([chunk for chunk in chunks if b"heartbeat" in chunk]) <= 3


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP"])
def test_what_comes_through_a_proxy_needs_a_credential(
    client: FlaskClient, make_app: Callable[..., Flask], journal: Journal, header: str
) -> None:
    answer = client.post("/trade", json=GOOD, headers={header: "127.0.0.1"})
    assert (answer.status_code, (answer.json or {})["reason"]) == (403, "forwarded")
    assert "flask --app webapp tokens create NAME --scope trade:write" in (answer.json or {})["detail"]
    assert client.get("/healthz", headers={header: "x"}).status_code == 200
    assert journal.last_seq() == 0
    off = make_app(auth="off").test_client()
    assert off.get("/trades", headers={header: "x"}).status_code == 200


def test_a_request_with_a_token_is_answered_under_any_host_name(client: FlaskClient, tokens: Tokens) -> None:
    evil = {"Host": "evil.example"}
    right = {"Authorization": f"Bearer {tokens.by_scope[READ]}"}
    assert client.get("/trades", headers=evil | right).status_code == 200
    for bad in (tokens.revoked, make_token()):
        assert client.get("/trades", headers=evil | {"Authorization": f"Bearer {bad}"}).status_code == 400
    written = {"Authorization": f"Bearer {tokens.by_scope[WRITE]}", "Origin": "https://evil.example"}
    assert client.post("/trade", json=GOOD, headers=written).status_code == 403


def test_without_access_control_each_page_says_so(make_app: Callable[..., Flask], client: FlaskClient) -> None:
    assert 'id="unprotected"' in make_app(auth="off").test_client().get("/").text
    assert 'id="unprotected"' not in client.get("/").text


def test_a_hook_is_found_by_its_token(app: Flask, tokens: Tokens) -> None:
    with app.test_request_context():
        found = find_hook(tokens.by_scope[HOOK])
        assert found is not None
        assert found.name == "only-hook"
        for text in ("open", tokens.by_scope[WRITE], tokens.by_others[HOOK], tokens.revoked, make_token(), "", "é"):
            assert find_hook(text) is None


def test_the_hook_that_needs_no_token_is_there_only_while_the_server_is_open(
    app: Flask, make_app: Callable[..., Flask], journal: Journal
) -> None:
    with app.test_request_context():
        assert find_hook("open") is not None
    add(journal, "first", {HOOK})
    with make_app(auth="auto").test_request_context():
        assert find_hook("open") is None
    with make_app(auth="off").test_request_context():
        assert find_hook("open") is not None


def test_the_last_use_of_a_token_is_noted_once_a_minute(journal: Journal, settings: Settings) -> None:
    text = add(journal, "bot", {WRITE})
    clock = 0.0
    start = now()
    credentials = Credentials(
        "auto",
        JournalReader(Journal(settings.journal_path)),
        JournalReader(Journal(settings.journal_path)),
        lambda: clock,
        lambda: start + timedelta(seconds=clock),
    )

    def last_used() -> str | None:
        return list_tokens(journal)[0].last_used_at

    assert last_used() is None
    credentials.find_token(text)
    wait_for(lambda: last_used() == format_timestamp(start), "the first use is noted")
    for seconds in (1.0, 30.0, 59.0):
        clock = seconds
        credentials.find_token(text)
    assert last_used() == format_timestamp(start)
    clock = 61.0
    credentials.find_token(text)
    wait_for(lambda: last_used() == format_timestamp(start + timedelta(seconds=61)), "a later use is noted")

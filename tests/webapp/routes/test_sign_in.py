"""Signing in and out with the real pages; wrong passwords, waiting, and the ends of sessions."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from html import unescape
from types import SimpleNamespace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from common.journal.credentials import add_user, end_sessions, list_users, remove_user, set_password
from common.journal.store import Journal
from common.passwords import hash_password
from common.settings import Settings
from common.timestamps import format_timestamp, now
from tests.waiting import wait_for
from tests.webapp.conftest import GOOD, read_token
from webapp import create_app
from webapp.attempts import Attempts
from webapp.credentials import IDLE_SECONDS, SESSION_SECONDS, Credentials
from webapp.services import services

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PASSWORD = "correct horse battery"
HASH = hash_password(PASSWORD)
COOKIE = "trading_session"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    # Another limit has its own tests.
    return replace(settings, sign_ins_per_minute=0)


@pytest.fixture
def ann(journal: Journal) -> str:
    assert add_user(journal, "ann", "trader", HASH, format_timestamp(now()))
    return "ann"


def sign_in(client: FlaskClient, name: str = "ann", password: str = PASSWORD, **more: str) -> TestResponse:
    # Who is signed in gets the desk, which has the token, too.
    token = read_token(client.get("/sign-in", follow_redirects=True).text)
    form = {"csrf_token": token, "username": name, "password": password, "next": more.get("next", "")}
    return client.post("/sign-in", data=form, environ_base={"REMOTE_ADDR": more.get("address", "192.0.2.1")})


def test_a_form_that_is_posted_after_the_session_has_ended_keeps_its_input(client: FlaskClient, ann: str) -> None:
    typed = {"symbol": "M&M ₮", "side": "SELL", "price": "27,123.45", "qty": "2", "ts": "", "source": "grid"}
    sent = client.post("/trade", data=typed | {"csrf_token": "old"}, headers=BROWSER)
    assert sent.status_code == 303
    path = read_next(client.get(sent.headers["Location"]).text)
    done = sign_in(client, ann, next=path)
    page = unescape(client.get(done.headers["Location"], headers=BROWSER).text)
    for name in ("symbol", "price", "qty", "source"):
        assert re.search(rf'name="{name}"[^>]* value="{re.escape(typed[name])}"', page)
    assert re.search(r'<input[^>]* checked [^>]*value="SELL"', page)
    # A body that cannot be received only loses its input.
    large = client.application.test_client().post("/trade", data={"symbol": "x" * 9000}, headers=BROWSER)
    assert (large.status_code, large.headers["Location"]) == (303, "/sign-in")


def read_next(page: str) -> str:
    found = re.search(r'name="next" type="hidden" value="([^"]+)"', page)
    assert found is not None
    return unescape(found[1])


def test_a_browser_is_sent_to_the_form_and_then_to_what_it_wanted(client: FlaskClient, ann: str) -> None:
    sent = client.get("/blotter?symbol=BTCUSDT", headers=BROWSER)
    assert (sent.status_code, sent.headers["Location"]) == (303, "/sign-in?next=/blotter?symbol%3DBTCUSDT")
    page = client.get(sent.headers["Location"])
    assert page.status_code == 200
    assert 'value="/blotter?symbol=BTCUSDT"' in page.text
    done = sign_in(client, ann, next="/blotter?symbol=BTCUSDT")
    assert (done.status_code, done.headers["Location"]) == (303, "/blotter?symbol=BTCUSDT")
    assert client.get("/blotter?symbol=BTCUSDT", headers=BROWSER).status_code == 200
    assert ">ann</span>" in client.get("/").text
    # Who is signed in does not need the form.
    assert client.get("/sign-in").headers["Location"] == "/"
    assert client.post("/trade", data=GOOD, headers=BROWSER).status_code == 403


@pytest.mark.parametrize(
    "wanted", ["", "//evil.example", "/\\evil.example", "https://evil.example", "x", "/a b", "/\n/evil"]
)
def test_a_sign_in_goes_on_to_pages_of_this_server_only(client: FlaskClient, ann: str, wanted: str) -> None:
    assert sign_in(client, ann, next=wanted).headers["Location"] == "/"


def test_a_session_is_a_new_cookie_that_scripts_and_other_sites_do_not_get(client: FlaskClient, ann: str) -> None:
    client.get("/sign-in")
    before = client.get_cookie(COOKIE)
    done = sign_in(client, ann)
    set_cookies = done.headers.getlist("Set-Cookie")
    assert len(set_cookies) == 2
    assert all({"HttpOnly", "Path=/"} <= set(cookie.split("; ")) for cookie in set_cookies)
    assert all("Secure" not in cookie for cookie in set_cookies)
    assert [any(f"SameSite={site}" in cookie for cookie in set_cookies) for site in ("Lax", "Strict")] == [True, True]
    after = client.get_cookie(COOKIE)
    assert before is not None
    assert after is not None
    assert after.value != before.value
    assert PASSWORD not in done.text
    with client.session_transaction() as session:
        assert set(session) == {"sign_in"}


def test_behind_tls_the_cookies_are_secure(client: FlaskClient, ann: str) -> None:
    token = read_token(client.get("/sign-in", base_url="https://localhost").text)
    form = {"csrf_token": token, "username": ann, "password": PASSWORD}
    done = client.post("/sign-in", data=form, base_url="https://localhost")
    assert done.status_code == 303
    assert all("Secure" in cookie.split("; ") for cookie in done.headers.getlist("Set-Cookie"))


@pytest.mark.parametrize(
    ("name", "password"), [("ann", "wrong"), ("ann", ""), ("bob", PASSWORD), ("", ""), ("ä\0", "ö")]
)
def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(
    app: Flask, client: FlaskClient, ann: str, name: str, password: str
) -> None:
    assert ann
    answer = sign_in(client, name, password)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "The name or the password is wrong." in answer.text
    assert 'value="wrong"' not in answer.text
    assert client.get("/").status_code == 401
    count = services(app).metrics.registry.get_sample_value("webapp_auth_failures_total", {"reason": "password"})
    assert count == 1


def test_a_form_without_its_token_signs_nobody_in(client: FlaskClient, ann: str) -> None:
    answer = client.post("/sign-in", data={"username": ann, "password": PASSWORD})
    assert answer.status_code == 403
    assert "renewed" in answer.text
    assert client.get("/").status_code == 401


def test_a_trader_sends_with_the_form_and_by_script_and_a_viewer_only_looks(
    app: Flask, client: FlaskClient, journal: Journal, ann: str
) -> None:
    assert add_user(journal, "vic", "viewer", HASH, format_timestamp(now()))
    sign_in(client, ann)
    token = read_token(client.get("/").text)
    assert client.post("/trade", data=GOOD | {"csrf_token": token}).status_code == 303
    assert client.post("/trade", json=GOOD, headers={"X-CSRFToken": token}).status_code == 201
    refused = client.post("/trade", json=GOOD)
    assert (refused.status_code, (refused.json or {})["reason"]) == (403, "csrf")
    assert [event.source for event in journal.read_after(0)] == ["", ""]
    viewer = app.test_client()
    sign_in(viewer, "vic")
    page = viewer.get("/").text
    assert "You may look, but not send" in page
    for answer in (
        viewer.post("/trade", data=GOOD | {"csrf_token": read_token(page)}),
        viewer.post("/trade", json=GOOD, headers={"X-CSRFToken": read_token(page)}),
    ):
        assert (answer.status_code, (answer.json or {})["reason"]) == (403, "scope")
    assert journal.last_seq() == 2


def test_signing_out_ends_every_session_of_the_user(app: Flask, ann: str) -> None:
    first, second = app.test_client(), app.test_client()
    sign_in(first, ann)
    sign_in(second, ann)
    copied = first.get_cookie(COOKIE)
    assert first.post("/sign-out", data={"csrf_token": "forged"}).status_code == 403
    assert second.get("/").status_code == 200
    done = first.post("/sign-out", data={"csrf_token": read_token(first.get("/").text)})
    assert (done.status_code, done.headers["Location"]) == (303, "/sign-in")
    assert copied is not None
    first.set_cookie(COOKIE, copied.value)
    for client in (first, second):
        answer = client.get("/trades")
        assert (answer.status_code, (answer.json or {})["reason"]) == (401, "session_ended")
    assert "Your session has ended" in second.get("/sign-in").text
    # Signed in again at once, though this worker has just read the users.
    assert sign_in(second, ann).status_code == 303
    assert second.get("/").status_code == 200


def test_a_new_password_and_a_removal_end_the_sessions(app: Flask, journal: Journal, ann: str) -> None:
    client = app.test_client()
    sign_in(client, ann)
    assert client.get("/").status_code == 200
    assert set_password(journal, ann, hash_password("another password"))
    wait_for(lambda: client.get("/").status_code == 401, "the session has ended")
    assert sign_in(client, ann).status_code == 401
    assert sign_in(client, ann, "another password").status_code == 303
    assert remove_user(journal, ann, format_timestamp(now()))
    wait_for(lambda: client.get("/").status_code == 401, "the session has ended")
    assert sign_in(client, ann, "another password").status_code == 401
    assert add_user(journal, ann, "viewer", HASH, format_timestamp(now()))
    assert not add_user(journal, ann, "trader", HASH, format_timestamp(now()))
    assert [(user.role, user.session_version) for user in list_users(journal)] == [("viewer", 4)]
    assert client.get("/").status_code == 401


@pytest.fixture
def clock(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the seconds that the application's clock, which stands still, was set ahead."""
    ahead, start = [0.0], now()

    def tell() -> datetime:
        return start + timedelta(seconds=ahead[0])

    mine = services(app)
    mine.credentials._wall_clock = tell  # noqa: SLF001 - a clock of its own
    mine.attempts = Attempts(lambda: tell().timestamp())
    monkeypatch.setattr("webapp.middleware.sessions.time", SimpleNamespace(time=lambda: tell().timestamp()))
    return ahead


def test_a_session_ends_when_it_is_not_used_and_after_half_a_day(
    client: FlaskClient, ann: str, clock: list[float]
) -> None:
    sign_in(client, ann)
    step = IDLE_SECONDS - 60
    while clock[0] + step < SESSION_SECONDS:
        clock[0] += step
        assert client.get("/").status_code == 200
    clock[0] += step
    assert client.get("/").status_code == 401
    sign_in(client, ann)
    assert client.get("/").status_code == 200
    clock[0] += IDLE_SECONDS
    assert client.get("/").status_code == 401


def test_a_cookie_in_use_is_sent_again_once_a_minute(client: FlaskClient, ann: str, clock: list[float]) -> None:
    sign_in(client, ann)
    assert "Set-Cookie" not in client.get("/trades").headers
    clock[0] += 61
    assert "Set-Cookie" in client.get("/trades").headers
    assert "Set-Cookie" not in client.get("/trades").headers


def test_a_session_of_another_journal_or_with_another_secret_is_none(
    settings: Settings, client: FlaskClient, journal: Journal, ann: str
) -> None:
    sign_in(client, ann)
    cookie = client.get_cookie(COOKIE)
    assert cookie is not None
    other = create_app(replace(settings, secret_key="t" * 32))
    forger = other.test_client()
    forger.set_cookie(COOKIE, cookie.value)
    assert (forger.get("/trades").json or {})["reason"] == "no_credential"
    services(other).close()
    with client.session_transaction() as session:
        session["sign_in"] = ["f" * 32, *session["sign_in"][1:]]
    assert (client.get("/trades").json or {})["reason"] == "session_ended"
    assert journal.journal_id != "f" * 32


def test_after_five_failures_each_attempt_waits_longer(client: FlaskClient, ann: str, clock: list[float]) -> None:
    for _ in range(5):
        assert sign_in(client, ann, "wrong").status_code == 401
    waits = []
    for _ in range(8):
        # Also with the right password, and without counting.
        answer = sign_in(client, ann)
        assert answer.status_code == 429
        waits.append(int(answer.headers["Retry-After"]))
        assert f"Try again in {waits[-1]} s." in answer.text
        clock[0] += waits[-1]
        assert sign_in(client, ann, "wrong").status_code == 401
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    clock[0] += 60
    assert sign_in(client, ann).status_code == 303
    # A success forgets them.
    assert sign_in(client, ann, "wrong").status_code == 401
    assert sign_in(client, ann).status_code == 303


def test_an_attacker_does_not_make_the_owner_wait(app: Flask, ann: str, clock: list[float]) -> None:
    owner, attacker = app.test_client(), app.test_client()
    sign_in(owner, ann, address="192.0.2.1")
    for _ in range(5):
        assert sign_in(attacker, ann, "wrong", address="203.0.113.9").status_code == 401
    assert sign_in(attacker, ann, "wrong", address="203.0.113.9").status_code == 429
    # At another address, and, with a browser that was used before, at the attacker's too.
    assert sign_in(app.test_client(), ann, address="192.0.2.1").status_code == 303
    assert sign_in(owner, ann, address="203.0.113.9").status_code == 303
    assert sign_in(app.test_client(), ann, address="203.0.113.9").status_code == 429
    # The browser's own guesses are counted too, and it is not known as another user's.
    for _ in range(5):
        assert sign_in(owner, ann, "wrong", address="192.0.2.77").status_code == 401
    assert sign_in(owner, ann, "wrong", address="192.0.2.78").status_code == 429
    assert sign_in(owner, "bob", "wrong", address="203.0.113.9").status_code == 401
    assert clock == [0.0]


def test_while_the_server_is_open_nobody_signs_in(settings: Settings, client: FlaskClient) -> None:
    assert client.get("/sign-in?next=/blotter").headers["Location"] == "/blotter"
    app = create_app(replace(settings, auth="off"))
    assert app.test_client().get("/sign-in").headers["Location"] == "/"
    services(app).close()


def test_a_password_is_in_no_log_and_no_repr(
    client: FlaskClient, journal: Journal, ann: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    sign_in(client, ann, "a wrong password")
    sign_in(client, ann)
    client.get("/")
    text = " ".join(str(vars(record)) for record in caplog.records)
    assert PASSWORD not in text
    assert "a wrong password" not in text
    assert "argon2" not in text + repr(list_users(journal))
    assert [getattr(record, "user", None) for record in caplog.records if record.message == "request"][-1] == ann


def test_a_feed_ends_with_its_session(client: FlaskClient, journal: Journal, ann: str) -> None:
    sign_in(client, ann)
    with client.get("/feed", buffered=False) as answer:
        chunks = iter(answer.response)
        next(chunks)
        end_sessions(journal, ann)
        assert len(list(chunks)) <= 4


def test_what_a_worker_does_not_know_yet_is_read_again(app: Flask, journal: Journal, ann: str) -> None:
    # Another worker signed the user in, after a change that this one has not read.
    mine: Credentials = services(app).credentials
    mine.is_open()
    end_sessions(journal, ann)
    other = create_app(app.config["SETTINGS"])
    begun = services(other).credentials.sign_in(ann, lambda _: True)
    services(other).close()
    assert begun is not None
    assert mine.find_user(begun).name == ann

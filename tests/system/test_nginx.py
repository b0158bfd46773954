"""Behind a real nginx, over TLS, with the files of ``infra/nginx/``."""

import http
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import expect, sync_playwright

from common.credentials import FIRST_TOKEN
from tests.conftest import require_program
from tests.system.conftest import FLAGS
from tests.system.nginx import Nginx
from tests.system.stack import TRADE, Stack
from tests.system.test_access import add
from tests.waiting import wait_for

NAMES = "desk.example,www.example"
CLIENT = "127.0.0.9"
"""Another address of loopback, so that a client is not the proxy."""


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a running stack that is open, and believes a proxy on 127.0.0.1."""
    folder = tmp_path_factory.mktemp("stack")
    with Stack(folder, AUTH="off", TRUSTED_PROXIES="127.0.0.1", ALLOWED_HOSTS=NAMES) as stack:
        yield stack.start()


@pytest.fixture
def nginx(behind: Stack, tmp_path: Path) -> Iterator[Nginx]:
    with Nginx(tmp_path, behind.settings["WEBAPP_HTTP_PORT"]) as nginx:
        yield nginx


def read_requests(stack: Stack, request_id: str) -> list[dict[str, Any]]:
    lines = [line.partition(" | ")[2] for line in stack.log.read_text().splitlines()]
    found = [json.loads(line) for line in lines if request_id in line]
    return [line for line in found if line["message"] == "request"]


def test_the_client_the_scheme_and_the_name_are_those_of_the_browser(behind: Stack, nginx: Nginx) -> None:
    client = nginx.connect(CLIENT)
    accepted = client.post(f"{nginx.url}/trade", json=TRADE, headers={"Origin": nginx.url}, timeout=60)
    assert accepted.status_code == 201
    (line,) = wait_for(lambda: read_requests(behind, accepted.headers["X-Request-ID"]), "it is logged")
    assert line["client"] == CLIENT
    assert accepted.headers["Strict-Transport-Security"] == "max-age=31536000"
    page = client.get(nginx.url, timeout=60)
    assert f"curl {nginx.url}/trade" in page.text
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= {part.strip() for part in page.headers["Set-Cookie"].split(";")}


def test_nothing_that_a_client_writes_into_a_proxys_headers_is_believed(behind: Stack, nginx: Nginx) -> None:
    forged = {
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "/evil",
        "X-Real-IP": "203.0.113.7",
        "Forwarded": "for=203.0.113.7;host=evil.example",
    }
    answer = nginx.connect(CLIENT).post(f"{nginx.url}/trade", json=TRADE, headers=forged, timeout=60)
    assert answer.status_code == 201
    assert answer.headers["Location"].startswith("/trades/")
    assert "Strict-Transport-Security" in answer.headers
    (line,) = wait_for(lambda: read_requests(behind, answer.headers["X-Request-ID"]), "it is logged")
    assert line["client"] == CLIENT


def test_events_arrive_at_once(behind: Stack, nginx: Nginx) -> None:
    with nginx.connect().get(f"{nginx.url}/feed?after={behind.journalled()}", stream=True, timeout=60) as feed:
        behind.accept(1)
        ids = (line for line in feed.iter_lines() if line.startswith(b"id:"))
        assert next(ids) == f"id: {behind.journalled()}".encode()


def test_writes_above_the_limit_are_answered_429_and_reads_are_not(behind: Stack, tmp_path: Path) -> None:
    few = {"rate=100r/s": "rate=1r/m", "burst=200": "burst=2"}
    with Nginx(tmp_path, behind.settings["WEBAPP_HTTP_PORT"], **few) as nginx:
        client = nginx.connect()
        before = behind.journalled()
        answers = [client.post(f"{nginx.url}/trade", json=TRADE, timeout=60) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [201, 201, 201, 429, 429]
        assert behind.journalled() == before + 3
        assert answers[-1].headers["Retry-After"] == "1"
        assert answers[-1].headers["Content-Type"] == "application/problem+json"
        problem = answers[-1].json()
        assert (problem["status"], problem["reason"]) == (429, "rate_limit")
        assert problem["request_id"] == answers[-1].headers["X-Request-ID"]
        assert {client.get(f"{nginx.url}/trades", timeout=60).status_code for _ in range(5)} == {200}
        # Another address has its own limit.
        assert nginx.connect(CLIENT).post(f"{nginx.url}/trade", json=TRADE, timeout=60).status_code == 201


@pytest.mark.parametrize(("name", "prefix"), [("trading", ""), ("desk", "/desk")])
def test_attempts_to_sign_in_have_a_limit_of_their_own(behind: Stack, tmp_path: Path, name: str, prefix: str) -> None:
    few = {"rate=10r/m": "rate=1r/m", "burst=5": "burst=2"}
    with Nginx(tmp_path, behind.settings["WEBAPP_HTTP_PORT"], name, **few) as nginx:
        client = nginx.connect()
        answers = [client.post(f"{nginx.url}{prefix}/sign-in", data={}, timeout=60) for _ in range(4)]
        assert [answer.status_code == 429 for answer in answers] == [False, False, False, True]
        assert answers[-1].headers["Retry-After"] == "6"
        assert client.post(f"{nginx.url}{prefix}/trade", json=TRADE, timeout=60).status_code == 201


@pytest.mark.parametrize("name", ["trading", "desk"])
def test_an_open_server_on_loopback_rejects_what_comes_through_it(cold: Stack, tmp_path: Path, name: str) -> None:
    cold.settings["ALLOWED_HOSTS"] = NAMES
    cold.start()
    with Nginx(tmp_path, cold.settings["WEBAPP_HTTP_PORT"], name) as nginx:
        prefix = "/desk" if name == "desk" else ""
        client = nginx.connect(CLIENT)
        for path in ("/", "/trades", "/feed", "/market", "/blotter.csv", "/metrics", "/pipeline"):
            answer = client.get(f"{nginx.url}{prefix}{path}", timeout=60)
            assert answer.status_code == 403, path
            assert answer.json()["reason"] == "forwarded"
            assert answer.json()["detail"].endswith(FIRST_TOKEN)
        assert client.post(f"{nginx.url}{prefix}/trade", json=TRADE, timeout=60).status_code == 403
        assert client.get(f"{nginx.url}{prefix}/readyz", timeout=60).status_code == 200
        assert cold.journalled() == 0
        # On loopback itself it stays open, until the first token is made; then it answers those who have it.
        assert cold.post().status_code == 201
        token = add(cold, "bot", "trade:write")
        wait_for(lambda: cold.post().status_code == 401, "each worker is locked")
        wait_for(
            lambda: client.post(f"{nginx.url}{prefix}/trade", json=TRADE, headers=token, timeout=60).status_code == 201,
            "the token is known",
        )


@pytest.mark.parametrize(("name", "prefix"), [("trading", ""), ("desk", "/desk")])
def test_the_token_of_a_webhook_is_in_no_log(behind: Stack, tmp_path: Path, name: str, prefix: str) -> None:
    token = "tt_canary-in-a-path"
    few = {"rate=100r/s": "rate=1r/m", "burst=200": "burst=1"}
    with Nginx(tmp_path, behind.settings["WEBAPP_HTTP_PORT"], name, **few) as nginx:
        client = nginx.connect()
        paths = [f"/hooks/{token}", f"/%68ooks/{token}?x={token}", f"/x/../hooks/{token}", f"/hooks/{token}/more"]
        answers = [client.post(f"{nginx.url}{prefix}{path}", json={}, timeout=60) for path in paths]
        assert 429 in {answer.status_code for answer in answers}
    # Without its upstream, nginx logs an error for each request.
    with Nginx(tmp_path / "down", "1", name) as nginx:
        client = nginx.connect()
        assert client.post(f"{nginx.url}{prefix}/hooks/{token}", json={}, timeout=60).status_code == 502
        assert client.get(f"{nginx.url}{prefix}/", timeout=60).status_code == 502
        down = nginx.read_logs()
    logs = down + (tmp_path / "nginx" / "trading.log").read_text() + (tmp_path / "nginx" / "error.log").read_text()
    assert f'"path": "{prefix}/hooks/***"' in logs
    assert "connect() failed" in down
    assert token not in logs


def test_plain_http_is_redirected_to_tls(nginx: Nginx) -> None:
    url = f"http://127.0.0.1:{nginx.http_port}/blotter?symbol=A"
    answer = requests.get(url, headers={"Host": nginx.host}, allow_redirects=False, timeout=60)
    assert answer.status_code == http.HTTPStatus.MOVED_PERMANENTLY
    assert answer.headers["Location"] == f"https://{nginx.host}/blotter?symbol=A"


@pytest.mark.parametrize(("name", "prefix"), [("trading", ""), ("desk", "/desk")])
def test_the_desk_works_in_a_browser_under_both_addresses(
    behind: Stack, tmp_path: Path, name: str, prefix: str
) -> None:
    chromium = require_program("chromium", "chromium-browser", "google-chrome")
    with Nginx(tmp_path, behind.settings["WEBAPP_HTTP_PORT"], name) as nginx, sync_playwright() as playwright:
        flags = [*FLAGS, f"--host-resolver-rules=MAP {nginx.host} 127.0.0.1", "--ignore-certificate-errors"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_context(ignore_https_errors=True, base_url=nginx.url).new_page()
        asked: list[str] = []
        page.on("request", lambda each: asked.append(each.url))
        page.goto(f"{prefix}/")
        expect(page.locator("header")).to_contain_text("Feed live")
        symbol = f"VIA{name.upper()}"
        page.locator("#symbol").fill(symbol)
        page.locator("#price").fill("1.5")
        page.locator("#qty").fill("2")
        page.locator("#send").click()
        # From the feed, and then as a link that leads to the trade.
        expect(page.get_by_role("button", name=symbol, exact=True)).to_be_visible()
        (cookie,) = page.context.cookies()
        assert (cookie["path"], cookie["secure"], cookie["httpOnly"]) == (prefix or "/", True, True)
        page.get_by_role("link", name="Blotter").click()
        expect(page).to_have_url(f"{nginx.url}{prefix}/blotter")
        expect(page.get_by_role("cell", name=symbol).first).to_be_visible()
        page.goto(f"{prefix}/docs")
        expect(page).to_have_title(re.compile("API"))
        own = page.evaluate("[...document.links].map(link => link.href).filter(href => href.startsWith(origin))")
        assert own
        assert [url for url in own if not url.startswith(f"{nginx.url}{prefix}/")] == []
        assert asked
        assert [url for url in asked if not url.startswith(f"{nginx.url}{prefix}/")] == []
        browser.close()

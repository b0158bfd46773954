"""Pages of other origins use the API from a real browser: the origin that is configured, with a token, and no other."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.system.stack import TRADE, Stack, free_ports
from tests.system.test_access import add

ASK = """async ({ url, method, headers, body }) => {
  try {
    const answer = await fetch(url, { method, headers, body });
    const known = ["location", "x-request-id", "www-authenticate"];
    const seen = known.filter(name => answer.headers.get(name) !== null);
    return { status: answer.status, seen, text: await answer.text() };
  } catch (error) {
    return { status: 0, seen: [], text: error.name };
  }
}"""


class _Blank(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Another site</title>")

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextmanager
def site(port: int) -> Iterator[str]:
    """Serve a page of another origin: another name and another port."""
    with ThreadingHTTPServer(("127.0.0.1", port), _Blank) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def ports() -> list[int]:
    return free_ports(2)


@pytest.fixture
def stack(tmp_path: Path, ports: list[int]) -> Iterator[Stack]:
    with Stack(tmp_path, WEBAPP_CORS_ORIGINS=f"http://localhost:{ports[0]}") as stack:
        yield stack.start()


def ask(page: Page, url: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    body = None
    if method == "POST":
        headers["Content-Type"] = "application/json"
        body = str(TRADE).replace("'", '"')
    answer: dict[str, Any] = page.evaluate(ASK, {"url": url, "method": method, "headers": headers, "body": body})
    return answer


def test_a_page_of_the_configured_origin_may_use_the_api_with_a_token_and_others_may_not(
    browser: Browser, stack: Stack, ports: list[int]
) -> None:
    token = add(stack, "another-site", "trade:write", "trade:read")
    with site(ports[0]) as allowed, site(ports[1]) as refused:
        page = browser.new_page()
        page.goto(allowed)
        written = ask(page, f"{stack.web_url}/trade", "POST", **token)
        assert written["status"] == 201, written
        assert set(written["seen"]) == {"location", "x-request-id"}
        assert '"source":"another-site"' in written["text"]
        assert ask(page, f"{stack.web_url}/trades", **token)["status"] == 200
        # It can read why it was rejected.
        without = ask(page, f"{stack.web_url}/trade", "POST")
        assert without["status"] == 401
        assert "no_credential" in without["text"]
        # The API, and no page.
        assert ask(page, f"{stack.web_url}/market", **token)["status"] == 0
        assert stack.journalled() == 1

        page.goto(refused)
        for path, method in (("/trade", "POST"), ("/trades", "GET")):
            answer = ask(page, f"{stack.web_url}{path}", method, **token)
            assert answer == {"status": 0, "seen": [], "text": "TypeError"}
        assert stack.journalled() == 1
        page.close()

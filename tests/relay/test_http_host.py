"""A host over HTTP: a real web process's application behind a real server, with a token and TLS."""

import contextlib
import dataclasses
import http.server
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import msgspec
import pytest
from flask import Flask

from common.credentials import READ, WRITE, hash_token, make_token
from common.errors import HubError, RelayError
from common.event import SEQ_MAX
from common.journal.credentials import Term, add_token
from common.journal.store import Journal
from common.settings import Settings
from common.timestamps import format_timestamp, now
from relay import http_host
from relay.chain import Page
from relay.http_host import HttpHost
from relay.hub import Hub
from relay.puller import Puller
from relay.skip import skip
from tests.conftest import append, make_event, make_trade, require_program
from webapp import create_app
from webapp.services import services


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serve(app: Flask, context: ssl.SSLContext | None = None) -> Iterator[int]:
    server: WSGIServer = make_server("127.0.0.1", 0, app, handler_class=Quiet)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(20)
        server.server_close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "host.db", "normal") as journal:
        append(journal, [make_trade(symbol="USD₮", ref="7", fee="0.1") for _ in range(5)])
        yield journal


@pytest.fixture
def app(journal: Journal) -> Iterator[Flask]:
    app = create_app(Settings(secret_key="s" * 32, journal_path=journal.path))
    yield app
    services(app).close()


def reason_of(ask: Callable[[], object]) -> str:
    with pytest.raises(RelayError) as caught:
        ask()
    return caught.value.reason


def test_a_page_has_the_trades_as_they_are_in_the_journal(app: Flask, journal: Journal) -> None:
    with serve(app) as port, contextlib.closing(HttpHost(f"http://127.0.0.1:{port}", None)) as host:
        page = host.ask(1, 2)
        assert (page.trades, page.next) == (journal.read_after(1, 2), 3)
        assert (page.journal_id, page.pruned_seq) == (journal.journal_id, 0)
        assert host.ask(SEQ_MAX, 1).trades == []
        assert host.ask(3, 1000).next is None


def test_a_locked_host_is_read_with_a_token_for_reading(app: Flask, journal: Journal) -> None:
    at = format_timestamp(now())
    tokens = {scope: make_token() for scope in (READ, WRITE)}
    for scope, token in tokens.items():
        add_token(journal, scope.replace(":", "-"), hash_token(token), frozenset({scope}), Term(at, None))
    with serve(app) as port, contextlib.ExitStack() as opened:

        def connect(token: str | None) -> HttpHost:
            return opened.enter_context(contextlib.closing(HttpHost(f"http://127.0.0.1:{port}", token)))

        assert len(connect(tokens[READ]).ask(0, 10).trades) == 5
        for wrong in (None, "tt_wrong", tokens[WRITE]):
            assert reason_of(lambda wrong=wrong: connect(wrong).ask(0, 10)) == "access"  # type: ignore[misc]


def test_a_host_is_trusted_by_the_certificates_of_the_file(app: Flask, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [require_program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "1", "-subj", "/CN=host", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serve(app, context) as port:
        url = f"https://127.0.0.1:{port}"
        with contextlib.closing(HttpHost(url, None, certificate)) as host:
            assert len(host.ask(0, 10).trades) == 5
        with contextlib.closing(HttpHost(url, None)) as host:
            assert reason_of(lambda: host.ask(0, 10)) == "tls"


def test_a_host_is_gone_on_with_at_what_it_has_deleted(app: Flask, journal: Journal, tmp_path: Path) -> None:
    journal.prune(3, b"{}")
    with serve(app) as port:
        url = f"http://127.0.0.1:{port}"
        settings = Settings(journal_path=tmp_path / "hub.db", relay_http_hosts=(url,))
        hub = Hub(Journal(settings.journal_path)).adopt()
        with contextlib.closing(HttpHost(url, None)) as host, contextlib.closing(hub):
            puller = Puller(url, host.ask, hub)
            assert [puller.step(), puller.step()] == [True, False]
            assert puller.status.wrong is not None
            assert puller.status.wrong.reason == "pruned"
            for said in ("Skipped seq 1 to 3 of", "Nothing is skipped"):
                assert skip(settings, f"{url}/").startswith(said)
            while puller.step():
                pass
            status = puller.status
            assert (status.wrong is None, status.events, status.last_seq) == (True, 2, 5)
            empty = dataclasses.replace(settings, journal_path=tmp_path / "empty.db")
            with pytest.raises(HubError, match="is that of no hub"):
                skip(empty, url)
        with pytest.raises(RelayError, match="is not in RELAY_HTTP_HOSTS"):
            skip(settings, "http://other")


@contextlib.contextmanager
def answering(status: int, body: bytes, headers: dict[str, str] | None = None) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(20)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, b"<html>", "body"),
        (200, b'{"trades": [{}], "next": null, "journal_id": "a", "pruned_seq": 0}', "body"),
        (200, b"\xff", "body"),
        (200, b"[" * 100_000, "body"),
        (302, b"", "status"),
        (404, b"no", "status"),
        (503, b"busy", "status"),
        (401, b"", "access"),
    ],
)
def test_an_answer_that_is_no_page_has_its_reason(status: int, body: bytes, reason: str) -> None:
    headers = {"Location": "http://127.0.0.1:1/"} if status == 302 else None
    with answering(status, body, headers) as url, contextlib.closing(HttpHost(url, None)) as host:
        assert reason_of(lambda: host.ask(0, 10)) == reason


def test_a_trade_that_no_host_accepts_has_a_reason() -> None:
    page = Page([make_event(1, accepted_at="2026-13-01T00:00:00.000000Z")], None, "a", 0)
    with answering(200, msgspec.json.encode(page)) as url, contextlib.closing(HttpHost(url, None)) as host:
        assert reason_of(lambda: host.ask(0, 10)) == "body"


def test_an_answer_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_host, "BYTES_MAX", 1000)
    with answering(200, b"x" * 200_000) as url, contextlib.closing(HttpHost(url, None)) as host:
        assert reason_of(lambda: host.ask(0, 10)) == "body"


def test_a_host_that_is_away_is_unreachable(app: Flask) -> None:
    with serve(app) as port:
        pass
    with contextlib.closing(HttpHost(f"http://127.0.0.1:{port}", None)) as host:
        assert reason_of(lambda: host.ask(0, 10)) == "unreachable"

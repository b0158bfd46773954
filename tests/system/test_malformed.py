"""Malformed requests get 4xx and problem+json, leave no traceback, and have no effect."""

import json
from collections.abc import Iterator

import pytest
import requests

from tests.system.raw import HOST, talk, write
from tests.system.stack import TRADE, Stack

TYPE = "Content-Type: application/json"
JSON = json.dumps(TRADE).encode()
CHUNKED = b"POST /trade HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
POST = b"POST /trade HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
FORM = b"POST /trade HTTP/1.1\r\n" + HOST + b"Content-Type: application/x-www-form-urlencoded\r\n"
CHUNK = b"%x\r\n%s\r\n" % (len(JSON), JSON)

BODIES = {
    "no chunk size": CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    "negative chunk": CHUNKED + b"-1\r\n{}\r\n0\r\n\r\n",
    "chunk of 0x": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "endless chunk size": CHUNKED + b"1" * 9000,
    "huge chunk size": CHUNKED + b"f" * 64 + b"\r\n" + JSON,
    "bad chunk end": CHUNKED + b"2\r\n{}xx0\r\n\r\n",
    "bad chunk extension": CHUNKED + b"2;a=\x00\r\n{}\r\n0\r\n\r\n",
    "cut chunk": CHUNKED + b"50\r\n{",
    "cut between chunks": CHUNKED + CHUNK,
    "cut before the last line": CHUNKED + CHUNK + b"0\r\n",
    "bad trailer": CHUNKED + CHUNK + b"0\r\nno colon\r\n\r\n",
    "forbidden trailer": CHUNKED + CHUNK + b"0\r\nHost: evil.example\r\n\r\n",
    "long trailers": CHUNKED + CHUNK + b"0\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    "chunks in a form": FORM + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "cut form": FORM + b"Transfer-Encoding: chunked\r\n\r\n50\r\nsymbol=X",
    "too short": POST + b"Content-Length: 500\r\n\r\n" + JSON,
    "too short a form": FORM + b"Content-Length: 500\r\n\r\nsymbol=BTC",
    "nothing at all": POST + b"Content-Length: 5\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "no length": POST + b"Content-Length: x\r\n\r\n{}",
    "negative length": POST + b"Content-Length: -5\r\n\r\n{}",
    "signed length": POST + b"Content-Length: +5\r\n\r\nhello",
    "superscript length": POST + b"Content-Length: \xb2\r\n\r\nhello",
    "long length": POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}",
    "large length": POST + b"Content-Length: 99999999999\r\n\r\n{}",
    "length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "gzip only": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "chunks of HTTP/1.0": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n",
}
HEADS = {
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST * 2 + b"\r\n",
    "another target": b"GET http://evil.example/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "host with a path": b"GET / HTTP/1.1\r\nHost: 127.0.0.1/x\r\n\r\n",
    "host of bytes": b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n",
    "expectation": POST + b"Expect: miracles\r\n\r\n",
    "version 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "version 9.9": b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
    "no version": b"GET /\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\n" + HOST + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500 + b"\r\n\r\n",
    "lower-case method": b"get / HTTP/1.1\r\n" + HOST + b"\r\n",
    "method of signs": b"G(T / HTTP/1.1\r\n" + HOST + b"\r\n",
    "long method": b"G" * 100 + b" / HTTP/1.1\r\n" + HOST + b"\r\n",
    "unknown method": b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n",
    "connect": b"CONNECT evil.example:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "trace": b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n",
    "asterisk": b"GET * HTTP/1.1\r\n" + HOST + b"\r\n",
    "options of nothing": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "long line": b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "long header": b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 20_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 2000 + b"\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n",
    "NUL in the target": b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
    "bytes in the target": b"GET /\xff\xc3 HTTP/1.1\r\n" + HOST + b"\r\n",
    "obsolete line folding": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
    "header without a colon": b"GET / HTTP/1.1\r\n" + HOST + b"nonsense\r\n\r\n",
    "space before a colon": b"GET / HTTP/1.1\r\n" + HOST + b"X : y\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: 127.0.0.1\n\n",
    "a bad address": b"GET http://[::1/ HTTP/1.1\r\n" + HOST + b"\r\n",
    "an unknown id": write("GET", "/trades/%00"),
    "an id of bytes": write("GET", "/trades/%ff%fe"),
    "half a surrogate": write("GET", "/trades/%ed%a0%80"),
    "a path of bytes": write("GET", "/%c0%af..%c0%af"),
    "out of the static files": write("GET", "/static/../webapp/__init__.py"),
    "NUL in a static file": write("GET", "/static/app.css%00"),
    "a long static file": write("GET", "/static/" + "x" * 3000),
    "a static folder": write("GET", "/static/desk"),
    "bytes in a query": write("GET", "/trades?symbol=%ff"),
    "NUL in a query": write("GET", "/trades?%00=%00"),
    "half a surrogate in a query": write("GET", "/trades?symbol=%ed%a0%80"),
    "bytes in the feed's id": write("GET", "/feed", b"", "Last-Event-ID: \xff"),
    "bytes in a key": write("POST", "/trade", JSON, TYPE, "Idempotency-Key: \xff"),
    "bytes in a type": write("POST", "/trade", JSON, "Content-Type: \xff"),
    "bytes in a body": write("POST", "/trade", b'{"symbol":"\xff"}', TYPE),
}


@pytest.fixture(autouse=True)
def _no_effect(shared: Stack) -> Iterator[None]:
    seq, read = shared.journalled(), len(shared.log.read_text())
    workers = shared.workers()
    yield
    assert requests.get(f"{shared.web_url}/healthz", timeout=60).status_code == 200
    log = shared.log.read_text()[read:]
    assert "Traceback" not in log
    assert '"level": "ERROR"' not in log
    assert shared.journalled() == seq
    assert shared.workers() == workers


def port(stack: Stack) -> int:
    return int(stack.settings["WEBAPP_HTTP_PORT"])


@pytest.mark.parametrize("sent", [*BODIES.values(), *HEADS.values()], ids=[*BODIES, *HEADS])
def test_a_malformed_request_is_a_client_error(shared: Stack, sent: bytes) -> None:
    reply = talk(port(shared), sent)
    assert 400 <= reply.status < 500
    assert reply.headers["content-type"] == "application/problem+json"
    problem = json.loads(reply.body)
    assert problem["status"] == reply.status
    assert problem["request_id"]
    assert {"reason", "title", "detail", "type"} <= set(problem)
    assert len(reply.body) < 2000
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_an_unknown_transfer_coding_is_501(shared: Stack) -> None:
    reply = talk(port(shared), POST + b"Transfer-Encoding: morse\r\n\r\n")
    assert reply.status == 501
    assert json.loads(reply.body)["status"] == 501


QUERIES = [
    "endpoint=x",
    "_method=POST",
    "_scheme=javascript",
    "_anchor=x",
    "_external=1",
    "values=1",
    "self=1",
    "app=1",
]


@pytest.mark.parametrize("query", [*QUERIES, "&".join(QUERIES), "before=1&before=2", "symbol=&endpoint=%ff"])
def test_no_query_parameter_reaches_url_for(shared: Stack, query: str) -> None:
    # A query that is not UTF-8 is malformed; the others have names that are not known.
    status = 400 if "%ff" in query else 422
    for more in ("", "&before=5", "&limit=1"):
        reply = talk(port(shared), write("GET", f"/blotter?{query}{more}"))
        assert reply.status == status
        assert b"javascript" not in reply.body
    for route in ("/trades", "/market", "/blotter.csv", "/blotter.json", "/feed"):
        assert talk(port(shared), write("GET", f"{route}?{query}")).status == status


FORWARDED = [
    "SCRIPT_NAME: https://evil.example",
    "Script-Name: /evil",
    "PATH_INFO: /evil",
    "REMOTE_USER: evil",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Protocol: ssl",
    "X-Forwarded-Ssl: on",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Prefix: /evil",
    "X-Forwarded-For: 10.9.8.7",
    "X_Forwarded_Host: evil.example",
    "Forwarded: host=evil.example;proto=https",
    "X-Original-URL: /evil",
    "X-HTTP-Method-Override: PUT",
]


@pytest.mark.parametrize("header", FORWARDED)
def test_proxy_headers_are_ignored(shared: Stack, header: str) -> None:
    reply = talk(port(shared), write("GET", "/", b"", header))
    assert b"evil" not in reply.body
    if header.startswith(("X-Forwarded", "Forwarded")):
        # Without a credential, an open server does not answer what came through a proxy.
        assert reply.status == 403
        return
    assert reply.status == 200
    assert b"curl http://127.0.0.1/trade" in reply.body
    assert b'src="/static/' in reply.body


ROUTES = [
    "/",
    "/trade",
    "/trades",
    "/trades/x",
    "/feed",
    "/market",
    "/pipeline",
    "/blotter",
    "/blotter.csv",
    "/blotter.json",
]
ROUTES += ["/healthz", "/readyz", "/metrics", "/static/app.css", "/nope", "//", "/..", "/trades/", "/trade/x"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_no_method_fails_on_any_route(shared: Stack, route: str, method: str) -> None:
    for version in ("HTTP/1.1", "HTTP/1.0"):
        # The feed ends only when the client disconnects.
        reply = talk(port(shared), write(method, route, b"", "Connection: close", version=version))
        assert 200 <= reply.status < 500
        assert method in {"HEAD", "OPTIONS"} or reply.status in {404, 405}
        assert method != "HEAD" or not reply.body


def test_malformed_requests_are_logged_as_json_at_a_limited_rate(shared: Stack) -> None:
    read = len(shared.log.read_text())
    for _ in range(300):
        talk(port(shared), b"\x16\x03\x01" + b"secret" * 100 + b"\r\n\r\n")
    lines = [line.partition(" | ")[2] for line in shared.log.read_text()[read:].splitlines()]
    logged = [json.loads(line) for line in lines if "malformed" in line]
    assert 1 <= len(logged) <= 60
    assert {line["message"] for line in logged} == {"malformed request"}
    assert {line["reason"] for line in logged} == {"request_line"}
    assert not [line for line in lines if "secretsecret" in line]

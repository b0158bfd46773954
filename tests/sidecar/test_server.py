import contextlib
import http
import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.core import GaugeMetricFamily

from common import __version__
from common.errors import AddressError
from common.hosts import HostRule
from common.serving import server as module
from common.serving.answers import Answer, Request
from common.serving.server import CONNECTIONS_LIMIT, Server
from sidecar.routes import Registries, Routes
from tests.waiting import wait_for


class Health:
    wrong: str | None = None

    def check(self) -> str | None:
        return self.wrong


class Gate:
    """A collector that waits until it is opened."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.inside = 0
        self.most = 0
        self.families: list[Metric] = []

    def collect(self) -> list[Metric]:
        self.inside += 1
        self.most = max(self.most, self.inside)
        assert self.open.wait(20)
        self.inside -= 1
        return self.families


@contextlib.contextmanager
def serve(answer: Callable[[Request], Answer]) -> Iterator[str]:
    server = Server("127.0.0.1", 0)
    server.open(answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join(20)
        server.server_close()


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def url(health: Health, gate: Gate) -> Iterator[str]:
    registry = CollectorRegistry()
    Counter("seen", "Seen.", registry=registry).inc()
    registry.register(gate)
    routes = Routes(
        HostRule("127.0.0.1", ("sidecar",)),
        Registries(registry, registry),
        health.check,
        health.check,
        find_counted=lambda seq: b"%d" % seq,
    )
    with serve(routes.answer) as url:
        yield url
        gate.open.set()


@contextlib.contextmanager
def connect(url: str) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=60) as connection:
        yield connection


def read_all(connection: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            found += piece
    return found


def talk(url: str, sent: bytes) -> tuple[int, bytes]:
    with connect(url) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
        answer = read_all(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, body


def get(url: str, **headers: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def test_metrics_are_text_or_openmetrics_by_the_accept_header(url: str) -> None:
    status, kind, body = get(f"{url}/metrics")
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    assert "seen_total 1.0" in body
    status, kind, body = get(f"{url}/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert (status, kind.split(";")[0]) == (200, "application/openmetrics-text")
    assert body.endswith("# EOF\n")


def test_metrics_are_compressed_and_limited_to_names_on_request(url: str) -> None:
    request = urllib.request.Request(f"{url}/metrics?name[]=none", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Vary"] == "Accept, Accept-Encoding"
    assert "seen_total 1.0" in get(f"{url}/metrics", Accept_Encoding="br, gzip;q=0")[2]
    assert "seen" not in get(f"{url}/metrics?name[]=none")[2]
    assert "seen" in get(f"{url}/metrics?name[]=seen_total")[2]
    status, kind, body = get(f"{url}/metrics?{'name[]=x&' * 101}")
    assert (status, kind) == (400, "application/problem+json")
    assert json.loads(body)["reason"] == "query"


@pytest.mark.parametrize(
    "query", ["", "?seq=", "?seq=x", "?seq=1&seq=2", "?seq=-1", "?seq=\u0663", f"?seq={'9' * 20}", "?n=1"]
)
def test_a_trade_is_asked_for_by_its_seq(url: str, query: str) -> None:
    assert get(f"{url}/counted?seq=42") == (200, "application/json", "42")
    status, _, body = get(f"{url}/counted{quote(query, safe='?=&')}")
    assert (status, json.loads(body)["reason"]) == (400, "query")


@pytest.mark.parametrize("version", ["x", "1.x", "1.0.0; charset", "", "٣.0.0", "9" * 5000, "1.0.0\r\n Evil: 1"])
def test_any_accept_header_is_answered_with_metrics(url: str, version: str) -> None:
    for kind in ("application/openmetrics-text", "text/plain"):
        accept = f"Accept: {kind}; version={version}, */*\r\n".encode()
        with connect(url) as connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n" + accept + b"\r\n")
            answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.0 200 ")
        assert b"Evil" not in answer


def test_the_landing_page_links_to_the_metrics(url: str) -> None:
    status, kind, body = get(url)
    assert (status, kind) == (200, "text/html; charset=utf-8")
    assert 'href="/metrics"' in body


def test_the_landing_page_has_the_version_and_links_to_the_other_parts() -> None:
    links = {"Desk": "http://127.0.0.1:8000", "Grafana": 'http://g.example/"><script>'}
    asked: list[str] = []

    def find_links(host: str) -> dict[str, str]:
        asked.append(host)
        return links

    rule = HostRule("127.0.0.1")
    routes = Routes(
        rule, Registries(CollectorRegistry(), CollectorRegistry()), lambda: None, lambda: None, find_links=find_links
    )
    with serve(routes.answer) as url:
        body = get(url)[2]
        assert asked == [url.removeprefix("http://")]
    assert '<a href="http://127.0.0.1:8000">Desk</a>' in body
    assert f"Version {__version__}" in body
    assert "<script>" not in body


@pytest.mark.parametrize("route", ["/", "/metrics", "/healthz", "/readyz", "/nope"])
def test_every_answer_has_the_security_headers(url: str, route: str) -> None:
    with connect(url) as connection:
        connection.sendall(f"GET {route} HTTP/1.0\r\n\r\n".encode())
        head = read_all(connection).partition(b"\r\n\r\n")[0].decode()
    headers = dict(line.split(": ", 1) for line in head.splitlines()[1:])
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("route", ["/healthz", "/readyz"])
def test_health_says_what_is_wrong(url: str, health: Health, route: str) -> None:
    assert get(url + route)[0] == 200
    health.wrong = "thread consumer is dead"
    status, kind, body = get(url + route)
    assert (status, kind) == (503, "application/json")
    assert "thread consumer is dead" in body


def test_other_routes_and_methods_are_rejected(url: str) -> None:
    assert get(f"{url}/nope")[0] == 404
    request = urllib.request.Request(f"{url}/metrics", data=b"x", method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=60)
    assert caught.value.code == 405
    assert caught.value.headers["Allow"] == "GET"
    caught.value.close()


def test_a_page_under_another_host_name_can_only_read_health(url: str) -> None:
    for route in ("/", "/metrics", "/nope", "/healthz/"):
        status, kind, body = get(url + route, Host="evil.example:8001")
        assert (status, kind) == (400, "application/problem+json")
        assert json.loads(body)["reason"] == "host"
    for route in ("/healthz", "/readyz"):
        assert get(url + route, Host="evil.example:8001")[0] == 200
    assert get(f"{url}/metrics", Host="sidecar:8001")[0] == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400),
        (b"GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET http://sidecar:8001/metrics HTTP/1.1\r\nHost: sidecar:8001\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
        (b"GET /metrics\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n", 403),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n\r\n", 405),
    ],
)
def test_the_host_rule_holds_for_each_form_of_a_request(url: str, head: bytes, status: int) -> None:
    assert talk(url, head)[0] == status


HOST = b"Host: localhost\r\n"


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (0, b"\r\n\r\n"),
        (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        (400, b"GET\r\n\r\n"),
        (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (400, b"GET / HTTP/9.9\r\n" + HOST + b"\r\n"),
        (400, b"GET / HTTP/1.x\r\n" + HOST + b"\r\n"),
        (400, b"GET http://[::1 HTTP/1.1\r\n" + HOST + b"\r\n"),
        (404, b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n"),
        (404, b"GET /%00%ff%F0 HTTP/1.1\r\n" + HOST + b"\r\n"),
        (200, b"GET /metrics?%ff=%00&name[]=%ff HTTP/1.1\r\n" + HOST + b"\r\n"),
        (400, b"GET / HTTP/1.1\r\nno colon\r\n" + HOST + b"\r\n"),
        (200, b"GET / HTTP/1.1\r\n folded\r\n" + HOST + b"\r\n"),
        (431, b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 200 + b"\r\n"),
        (431, b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 20_000 + b"\r\n\r\n"),
        (431, b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
        (200, b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello"),
        (200, b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\nTransfer-Encoding: nonsense\r\n\r\nhello"),
        (405, b"POST /metrics HTTP/1.1\r\n" + HOST + b"Content-Length: 900000\r\n\r\n" + b"x" * 900_000),
        (405, b"BREW /metrics HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\n\r\n"),
        (405, b"CONNECT localhost:1 HTTP/1.1\r\n" + HOST + b"\r\n"),
        (405, b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n"),
    ],
    ids=lambda value: ascii(value[:24]) if isinstance(value, bytes) else value,
)
def test_malformed_requests_are_answered_or_closed_and_no_error_is_logged(
    url: str, status: int, sent: bytes, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with connect(url) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        answer = read_all(connection)
    # 0: closed without an answer.
    assert (int(answer.split()[1]) if answer else 0) == status
    assert len(answer) < 4000
    assert get(f"{url}/healthz")[0] == 200
    assert not [record for record in caplog.records if record.message != "request rejected"]
    assert "Traceback" not in capfd.readouterr().err


def test_silent_connections_do_not_block_other_clients(url: str) -> None:
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(url)) for _ in range(CONNECTIONS_LIMIT * 4)]
        for each in silent[::2]:
            with contextlib.suppress(OSError):
                each.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        before = threading.active_count()
        assert get(f"{url}/metrics")[0] == 200
        assert before <= CONNECTIONS_LIMIT * 2 + 10
        wait_for(lambda: threading.active_count() <= CONNECTIONS_LIMIT + 10, "the threads of closed connections end")


def test_a_request_that_arrives_slowly_times_out_as_a_whole(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.3)
    with connect(url) as connection:
        connection.settimeout(0.05)
        answer, sent = b"", 0
        connection.sendall(b"GET / HTTP/1.1\r\n")
        while not answer:
            assert sent < 400
            with contextlib.suppress(TimeoutError):
                connection.sendall(b"X: y\r\n")
                sent += 1
                answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.0 408 ")


def test_a_client_that_does_not_read_is_disconnected(url: str, monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)
    names = {each.name for each in threading.enumerate()}
    gate.families = [GaugeMetricFamily("big", "y" * 40_000_000)]
    with connect(url) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        wait_for(lambda: connection.recv(1, socket.MSG_PEEK), "the answer begins")
        wait_for(lambda: {each.name for each in threading.enumerate()} <= names, "its thread ends")


def test_one_scrape_runs_at_a_time_and_a_waiting_one_is_answered_503(
    url: str, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.serving.routes.SCRAPE_WAIT_SECONDS", 0.2)
    gate.open.clear()
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(connect(url))
        first.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        wait_for(lambda: gate.inside, "the first scrape is running")
        assert talk(url, b"GET /metrics HTTP/1.0\r\n\r\n")[0] == 503
        assert get(f"{url}/healthz")[0] == 200
        gate.open.set()
        assert read_all(first).startswith(b"HTTP/1.0 200 ")
    assert gate.most == 1
    assert get(f"{url}/metrics")[0] == 200


def test_when_every_connection_is_being_answered_one_more_gets_503() -> None:
    opened, answering = threading.Event(), []

    def answer(request: Request) -> Answer:
        answering.append(request)
        assert opened.wait(20)
        return Answer(http.HTTPStatus.OK, "text/plain", b"done")

    with serve(answer) as url, contextlib.ExitStack() as stack:
        busy = [stack.enter_context(connect(url)) for _ in range(CONNECTIONS_LIMIT)]
        for each in busy:
            each.sendall(b"GET / HTTP/1.0\r\n\r\n")
        wait_for(lambda: len(answering) == CONNECTIONS_LIMIT, "each connection is being answered")
        status, body = talk(url, b"")
        assert (status, json.loads(body)["reason"]) == (503, "busy")
        opened.set()
        assert all(read_all(each).endswith(b"done") for each in busy)
        assert talk(url, b"GET / HTTP/1.0\r\n\r\n") == (200, b"done")


def test_connections_are_refused_until_the_server_is_opened() -> None:
    server = Server("127.0.0.1", 0)
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{server.server_address[1]}/metrics", timeout=60)
    server.server_close()


def test_a_port_in_use_is_reported_in_one_line(url: str) -> None:
    port = int(url.rpartition(":")[2])
    with pytest.raises(AddressError, match=f"cannot bind http://127.0.0.1:{port}: it is in use"):
        Server("127.0.0.1", port)


def test_a_failure_is_answered_without_its_detail_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> str:
        message = "secret detail"
        raise RuntimeError(message)

    with serve(
        Routes(HostRule("127.0.0.1"), Registries(CollectorRegistry(), CollectorRegistry()), fail, fail).answer
    ) as url:
        status, kind, body = get(f"{url}/healthz")
    assert (status, kind) == (500, "application/problem+json")
    assert "secret" not in body
    (line,) = caplog.records
    assert (line.message, line.exc_info is not None) == ("request failed", True)

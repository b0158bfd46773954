"""Requests that the sidecar rejects are counted by their reason, and logged at a bounded rate."""

import logging
import socket
import threading

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from common.hosts import HostRule
from common.serving import server as module
from common.serving.rejections import REASONS, Rejections
from common.serving.server import HEAD_BYTES, Connections, Server
from sidecar.collector import StateCollector
from sidecar.routes import Registries, Routes
from sidecar.state import State
from tests.conftest import JOURNAL_ID
from tests.docs.test_docs import DOCS
from tests.sidecar.test_collector import NO_STARTS, make_sight
from tests.waiting import wait_for


def test_each_reason_is_counted_and_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.2)
    registries = Registries(CollectorRegistry(), CollectorRegistry())
    server = Server("127.0.0.1", 0)
    server.open(Routes(HostRule("127.0.0.1"), registries, lambda: None, lambda: None, token="right").answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def send(text: str) -> None:
        with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=60) as connection:
            connection.sendall(text.encode())
            while connection.recv(65536):
                pass

    def ask(target: str, *headers: str, method: str = "GET") -> None:
        lines = [f"{method} {target} HTTP/1.1", *headers, "Authorization: Bearer right", "", ""]
        send("\r\n".join(lines))

    try:
        send("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        send("GET /metrics HTTP/1.1\r\nHost: other.example\r\n\r\n")
        send("nonsense\r\n\r\n")
        send("GET / HTTP/1.1\r\nX: " + "x" * HEAD_BYTES)
        send("GET / HTTP/1.1\r\n")
        ask("/", "Origin: http://other.example", method="POST")
        ask("/", method="DELETE")
        ask("/nothing")
        ask("http://[/")
        ask("/metrics?" + "&".join(["name[]=a"] * 101))
        monkeypatch.setattr(Connections, "admit", lambda _self, _connection: False)
        send("GET / HTTP/1.1\r\n\r\n")
        wait_for(lambda: sum(server.rejections.counts.values()) >= len(REASONS), "each is counted")
        assert server.rejections.counts == dict.fromkeys(REASONS, 1)
    finally:
        server.shutdown()
        thread.join(60)
        server.server_close()
    logged = [vars(record)["reason"] for record in caplog.records if record.message == "request rejected"]
    assert sorted(logged) == sorted(REASONS)


def test_a_reason_that_comes_often_is_logged_once_and_counted_each_time(caplog: pytest.LogCaptureFixture) -> None:
    rejections = Rejections()
    for _ in range(50):
        rejections.add("token")
    assert rejections.counts["token"] == 50
    assert [(record.levelno, vars(record)["reason"]) for record in caplog.records] == [(logging.WARNING, "token")]


def test_every_reason_is_exposed_and_documented() -> None:
    state_sight = make_sight(State(JOURNAL_ID))
    registry = CollectorRegistry()
    registry.register(StateCollector(state_sight, NO_STARTS))
    text = generate_latest(registry).decode()
    page = (DOCS / "metrics.md").read_text()
    for reason in REASONS:
        assert f'sidecar_http_requests_rejected_total{{reason="{reason}"}} 0.0' in text
        assert f"`{reason}`" in page

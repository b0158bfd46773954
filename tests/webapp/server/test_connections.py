"""The limits and deadlines of connections."""

import socket
import threading
from collections.abc import Iterator
from http.client import HTTPResponse
from ipaddress import ip_network

import pytest
from werkzeug.exceptions import RequestTimeout

from webapp.clients import Proxies
from webapp.server.connections import Address, Connections, find_connection_limit
from webapp.server.deadlines import DeadlineSocket
from webapp.worker_metrics import WorkerMetrics

CLIENT: Address = ("192.0.2.7", 4000)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    server, client = socket.socketpair()
    with server, client:
        yield server, client


@pytest.fixture
def dropped() -> list[str]:
    return []


@pytest.mark.parametrize("address", [("127.0.0.1", 1), ("::1", 1, 0, 0), ("10.0.0.1", 1), "", b"/run/web.sock"])
def test_connections_of_loopback_and_of_trusted_proxies_are_not_limited_by_address(
    pair: tuple[socket.socket, socket.socket], address: Address
) -> None:
    server, _ = pair
    connections = Connections(9, WorkerMetrics(), 1, Proxies([ip_network("10.0.0.0/8")]))
    assert [connections.admit(server, address) for _ in range(3)] == [True, True, True]
    connections.release(address)
    assert [connections.admit(server, CLIENT) for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    ("limit", "address_limit", "reason", "status"), [(9, 2, "address", 429), (2, 9, "worker", 503)]
)
def test_a_connection_above_a_limit_is_answered_and_counted_until_one_closes(
    pair: tuple[socket.socket, socket.socket], limit: int, address_limit: int, reason: str, status: int
) -> None:
    server, client = pair
    metrics = WorkerMetrics()
    connections = Connections(limit, metrics, address_limit)
    assert connections.admit(server, CLIENT)
    assert connections.admit(server, CLIENT)
    assert not connections.admit(server, CLIENT)
    assert metrics.registry.get_sample_value("webapp_connections") == 2
    assert metrics.registry.get_sample_value("webapp_connections_dropped_total", {"reason": f"{reason}_limit"}) == 1
    with HTTPResponse(client) as response:
        response.begin()
        assert (response.status, response.getheader("Retry-After")) == (status, "1")
        assert f'"reason": "{reason}_limit"'.encode() in response.read()
    connections.release(CLIENT)
    assert connections.admit(server, CLIENT)


def test_rejections_are_logged_once_a_second_with_their_count(caplog: pytest.LogCaptureFixture) -> None:
    connections = Connections(0, WorkerMetrics())
    for _ in range(100):
        connections.drop("worker_limit", CLIENT)
    assert 1 <= len(caplog.records) <= 3
    assert vars(caplog.records[0])["client"] == "192.0.2.7"


def test_the_connection_limit_includes_the_feeds_of_the_settings() -> None:
    assert find_connection_limit(400) >= 400
    assert find_connection_limit(400) <= find_connection_limit(10_000)


def test_a_whole_body_has_one_deadline_and_the_next_request_another(
    pair: tuple[socket.socket, socket.socket], dropped: list[str]
) -> None:
    server, client = pair
    sock = DeadlineSocket(server, 0.2, 0.3, dropped.append)
    timeouts: list[bool] = []
    sock.expect_body(lambda: timeouts.append(True))
    client.sendall(b"x")
    assert sock.recv(10) == b"x"
    with pytest.raises(RequestTimeout, match=r"within 0\.2 s"):
        sock.recv(10)
    assert timeouts == [True]
    sock.expect_request()
    assert sock.recv(10) == b""
    assert dropped == []


def test_an_incomplete_head_is_answered_at_its_deadline(
    pair: tuple[socket.socket, socket.socket], dropped: list[str]
) -> None:
    server, client = pair
    sock = DeadlineSocket(server, 0.1, 60, dropped.append)
    client.sendall(b"GET / HT")
    assert sock.recv(100) == b"GET / HT"
    assert sock.recv(100) == b""
    assert dropped == ["head_timeout"]
    assert client.recv(100).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_a_write_waits_for_a_slow_client_and_ends_for_one_that_reads_nothing(
    pair: tuple[socket.socket, socket.socket], dropped: list[str]
) -> None:
    server, client = pair
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sock = DeadlineSocket(server, 1, 60, dropped.append)
    stop = threading.Event()

    def read() -> None:
        while not stop.wait(0.05) and client.recv(2000):
            pass

    reader = threading.Thread(target=read)
    reader.start()
    sock.sendall(bytes(60_000))
    stop.set()
    reader.join()
    assert dropped == []
    with pytest.raises(BrokenPipeError):
        sock.sendall(bytes(1_000_000))
    assert dropped == ["write_timeout"]


def test_a_disconnected_client_is_a_connection_error(
    pair: tuple[socket.socket, socket.socket], dropped: list[str]
) -> None:
    server, client = pair
    client.close()
    sock = DeadlineSocket(server, 1, 1, dropped.append)
    with pytest.raises(BrokenPipeError):
        sock.sendall(b"x")
    server.close()
    with pytest.raises(ConnectionResetError):
        sock.recv(1)


def test_an_answer_is_sent_with_its_head_in_one_piece_and_a_head_alone_at_its_end(
    pair: tuple[socket.socket, socket.socket], dropped: list[str]
) -> None:
    server, client = pair
    sent: list[bytes] = []
    sock = DeadlineSocket(server, 10, 10, dropped.append)
    sock.__dict__["_client"] = Recorder(server, sent)
    sock.expect_body(lambda: None)
    sock.sendall(b"head")
    sock.sendall(b"body")
    sock.sendall(b"more")
    sock.end_answer()
    sock.expect_body(lambda: None)
    sock.sendall(b"head alone")
    sock.end_answer()
    sock.end_answer()
    # gunicorn's own answer to a bug.
    sock.expect_body(lambda: None)
    sock.end_answer()
    sock.sendall(b"error")
    assert sent == [b"headbody", b"more", b"head alone", b"error"]
    assert client.recv(100) == b"headbodymorehead aloneerror"


class Recorder:
    """A socket that keeps each piece it sends."""

    def __init__(self, inner: socket.socket, sent: list[bytes]) -> None:
        self._inner = inner
        self._sent = sent

    def settimeout(self, seconds: float) -> None:
        self._inner.settimeout(seconds)

    def send(self, data: memoryview) -> int:
        self._sent.append(bytes(data))
        return self._inner.send(data)

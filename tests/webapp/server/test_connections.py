"""How many connections a worker takes, and how long it waits for one."""

import socket
import threading
from collections.abc import Iterator
from http.client import HTTPResponse

import pytest
from werkzeug.exceptions import RequestTimeout

from webapp.server.connections import Address, Connections, find_connection_limit, group_by_address
from webapp.server.deadlines import DeadlineSocket
from webapp.worker_metrics import WorkerMetrics

HERE: Address = ("192.0.2.7", 4000)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    server, client = socket.socketpair()
    with server, client:
        yield server, client


@pytest.fixture
def dropped() -> list[str]:
    return []


@pytest.mark.parametrize(
    ("address", "group"),
    [
        (("192.0.2.7", 1), "192.0.2.7"),
        (("::ffff:192.0.2.7", 1, 0, 0), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 1, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 1, 0, 2), "fe80::/64"),
        (("127.0.0.1", 1), None),
        (("127.8.0.1", 1), None),
        (("::1", 1, 0, 0), None),
        (("::ffff:127.0.0.1", 1, 0, 0), None),
        ("", None),
        (b"/run/web.sock", None),
    ],
)
def test_connections_are_counted_by_site_and_those_of_this_host_not_at_all(address: Address, group: str | None) -> None:
    assert group_by_address(address) == group


@pytest.mark.parametrize(("limit", "of_one", "reason", "status"), [(9, 2, "address", 429), (2, 9, "worker", 503)])
def test_one_connection_too_many_is_answered_counted_and_leaves_room_when_another_has_gone(
    pair: tuple[socket.socket, socket.socket], limit: int, of_one: int, reason: str, status: int
) -> None:
    server, client = pair
    measures = WorkerMetrics()
    connections = Connections(limit, measures, of_one)
    assert connections.admit(server, HERE)
    assert connections.admit(server, HERE)
    assert not connections.admit(server, HERE)
    assert measures.snapshot().connections == 2
    assert measures.snapshot().connections_dropped[f"{reason}_limit"] == 1
    with HTTPResponse(client) as response:
        response.begin()
        assert (response.status, response.getheader("Retry-After")) == (status, "1")
        assert f'"reason": "{reason}_limit"'.encode() in response.read()
    connections.release(HERE)
    assert connections.admit(server, HERE)


def test_rejections_are_logged_once_a_second_with_their_number(caplog: pytest.LogCaptureFixture) -> None:
    connections = Connections(0, WorkerMetrics())
    for _ in range(100):
        connections.drop("worker_limit", HERE)
    assert 1 <= len(caplog.records) <= 3
    assert vars(caplog.records[0])["client"] == "192.0.2.7"


def test_a_worker_keeps_descriptors_for_itself_and_takes_as_many_feeds_as_are_set() -> None:
    assert find_connection_limit(400) >= 400
    assert find_connection_limit(400) <= find_connection_limit(10_000)


def test_a_body_has_its_time_as_a_whole_and_the_next_request_its_own(
    pair: tuple[socket.socket, socket.socket], dropped: list[str]
) -> None:
    server, client = pair
    guarded = DeadlineSocket(server, 0.2, 0.3, dropped.append)
    ended: list[bool] = []
    guarded.expect_body(lambda: ended.append(True))
    client.sendall(b"x")
    assert guarded.recv(10) == b"x"
    with pytest.raises(RequestTimeout, match=r"within 0\.2 s"):
        guarded.recv(10)
    assert ended == [True]
    guarded.expect_request()
    assert guarded.recv(10) == b""
    assert dropped == []


def test_a_head_that_began_has_its_time_and_is_answered(
    pair: tuple[socket.socket, socket.socket], dropped: list[str]
) -> None:
    server, client = pair
    guarded = DeadlineSocket(server, 0.1, 60, dropped.append)
    client.sendall(b"GET / HT")
    assert guarded.recv(100) == b"GET / HT"
    assert guarded.recv(100) == b""
    assert dropped == ["head_timeout"]
    assert client.recv(100).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_an_answer_waits_for_a_client_that_takes_some_of_it_and_not_for_one_that_takes_nothing(
    pair: tuple[socket.socket, socket.socket], dropped: list[str]
) -> None:
    server, client = pair
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    guarded = DeadlineSocket(server, 0.1, 60, dropped.append)
    stop = threading.Event()

    def read() -> None:
        while not stop.wait(0.05) and client.recv(2000):
            pass

    reader = threading.Thread(target=read)
    reader.start()
    guarded.sendall(bytes(60_000))
    stop.set()
    reader.join()
    assert dropped == []
    with pytest.raises(BrokenPipeError):
        guarded.sendall(bytes(1_000_000))
    assert dropped == ["write_timeout"]


def test_a_client_that_is_gone_is_told_from_an_error_of_the_server(
    pair: tuple[socket.socket, socket.socket], dropped: list[str]
) -> None:
    server, client = pair
    client.close()
    guarded = DeadlineSocket(server, 1, 1, dropped.append)
    with pytest.raises(BrokenPipeError):
        guarded.sendall(b"x")
    server.close()
    with pytest.raises(ConnectionResetError):
        guarded.recv(1)

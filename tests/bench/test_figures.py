"""What figures are made of: percentiles of a histogram, and what viewers of the feed have seen."""

import socket
from collections.abc import Iterator

import pytest

from bench.measures.delay import find_percentile
from bench.viewers import Viewer, Viewers

INFINITE = float("inf")
HISTOGRAM = {1.0: 50.0, 10.0: 90.0, INFINITE: 100.0}
TRADE = b'id: %d\nevent: trade\ndata: {"accepted_at":"2026-01-31T09:30:00.000000Z"}\n\n'


@pytest.mark.parametrize(
    ("part", "milliseconds"), [(0.25, 0.5), (0.5, 1.0), (0.7, 5.5), (0.9, 10.0), (0.99, 10.0), (0.0, 0.0)]
)
def test_a_percentile_is_linear_within_a_bucket(part: float, milliseconds: float) -> None:
    assert find_percentile(HISTOGRAM, part) == pytest.approx(milliseconds)


def test_an_empty_bucket_below_is_skipped() -> None:
    assert find_percentile({1.0: 0.0, 10.0: 4.0, INFINITE: 4.0}, 0.5) == pytest.approx(5.5)


@pytest.fixture
def feed() -> Iterator[tuple[socket.socket, Viewer]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        viewer = Viewer(server.getsockname()[1], notes=True)
        connection, _ = server.accept()
        with connection, viewer.socket:
            viewer.socket.settimeout(60)
            yield connection, viewer


def receive(feed: tuple[socket.socket, Viewer], text: bytes) -> None:
    connection, viewer = feed
    connection.sendall(text)
    viewer.receive()


def test_a_trade_that_arrives_in_two_pieces_is_counted_once(feed: tuple[socket.socket, Viewer]) -> None:
    text = b"HTTP/1.1 200 OK\r\n\r\nretry: 1000\n\n: heartbeat\n\n" + TRADE % 1 + TRADE % 2
    receive(feed, text[:-40])
    assert feed[1].trades == 1
    receive(feed, text[-40:])
    assert feed[1].trades == 2
    assert feed[1].ids == [1, 2]
    assert len(feed[1].delays) == 2


def test_viewers_report_what_was_missed_came_twice_or_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.viewers.SETTLE_SECONDS", 0)
    viewers = Viewers.__new__(Viewers)
    viewers.ended = 0
    viewers.viewers = []
    for ids in ([1, 2, 3], [1, 3], [1, 2, 2, 3], [2, 1, 3]):
        viewer = Viewer.__new__(Viewer)
        viewer.notes, viewer.ids, viewer.trades, viewer.delays = True, ids, len(ids), [0.001, 0.003]
        viewers.viewers.append(viewer)
    found = viewers.end(3)
    assert (found["missed"], found["twice"], found["disordered"]) == (1, 1, 3)
    assert found["median_ms"] == pytest.approx(2)


def test_a_feed_that_ended_raises(feed: tuple[socket.socket, Viewer]) -> None:
    feed[0].shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError, match="the feed ended"):
        feed[1].receive()

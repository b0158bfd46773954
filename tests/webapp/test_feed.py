"""The feed, message by message: nothing missed, nothing twice, nobody waited for."""

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tape.journal import Journal
from tape.settings import Settings
from tests.conftest import make_event
from tests.waiting import wait_for
from webapp import create_app
from webapp import feed as feed_module
from webapp import tail as tail_module
from webapp.feed import stream
from webapp.ledger import Ledger
from webapp.measures import Measures
from webapp.tail import Tail


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "AWAY_SECONDS", 0.05)
    monkeypatch.setattr(tail_module, "POLL_SECONDS", 0.005)
    monkeypatch.setattr(feed_module, "PULSE_SECONDS", 0.05)


@pytest.fixture
def stopping() -> threading.Event:
    return threading.Event()


@pytest.fixture
def measures() -> Measures:
    return Measures()


@pytest.fixture
def tail(journal: Journal, measures: Measures, stopping: threading.Event) -> Iterator[Tail]:
    yield Tail(Ledger(partial(Journal, journal.path)), measures, 3, stopping.is_set)
    # Its reader ends with its last viewer, or with the worker.
    stopping.set()


def accept(journal: Journal, count: int, **fields: str) -> None:
    last = journal.last_seq()
    journal.append([make_event(0, id=str(last + n), **fields) for n in range(count)])


def read(stream: Iterator[bytes], until: Callable[[list[int]], bool]) -> list[int]:
    """Give the ids that come until they are enough."""
    ids: list[int] = []
    for chunk in stream:
        for message in chunk.decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in message.splitlines() if line and not line.startswith(":"))
            if lines.get("event") == "trade":
                assert json.loads(lines["data"])["seq"] == int(lines["id"])
                ids.append(int(lines["id"]))
        if until(ids):
            break
    return ids


def join(tail: Tail, after: int | None = None, symbol: str | None = None) -> Iterator[bytes]:
    viewer = tail.join()
    assert viewer is not None
    return stream(tail, viewer, after, symbol)


def test_a_viewer_gets_what_stands_in_the_journal_and_then_each_trade_as_it_comes(tail: Tail, journal: Journal) -> None:
    accept(journal, 1200)
    opened = join(tail, after=5)
    assert read(opened, lambda ids: len(ids) >= 1195) == list(range(6, 1201))
    accept(journal, 30)
    assert read(opened, lambda ids: len(ids) >= 30) == list(range(1201, 1231))


def test_trades_accepted_while_history_is_sent_come_once(tail: Tail, journal: Journal) -> None:
    accept(journal, 700)
    opened = join(tail, after=0)
    ids = read(opened, lambda ids: len(ids) >= 500)
    accept(journal, 100)
    wait_for(lambda: tail.last_seq == 800, "the reader has them")
    assert ids + read(opened, lambda more: len(more) >= 300) == list(range(1, 801))


def test_without_a_place_to_go_on_from_the_feed_begins_now(tail: Tail, journal: Journal) -> None:
    accept(journal, 10)
    opened = join(tail)
    next(opened)
    next(opened)
    threading.Timer(0.05, accept, (journal, 2)).start()
    assert read(opened, lambda ids: len(ids) >= 2) == [11, 12]


def test_one_symbol_alone_can_be_asked_for(tail: Tail, journal: Journal) -> None:
    accept(journal, 3, symbol="A")
    accept(journal, 3, symbol="B")
    opened = join(tail, after=0, symbol="B")
    assert read(opened, lambda ids: len(ids) >= 3) == [4, 5, 6]
    accept(journal, 1, symbol="A")
    accept(journal, 1, symbol="B")
    assert read(opened, lambda ids: len(ids) >= 1) == [8]


def test_silence_is_broken_by_a_pulse_that_tells_the_newest_seq(tail: Tail, journal: Journal) -> None:
    accept(journal, 4)
    opened = join(tail)
    assert next(opened).startswith(b"retry: ")
    for _ in range(2):
        pulse = next(opened).decode()
        assert pulse.startswith(": ")
        assert json.loads(pulse.partition("data: ")[2])["last_seq"] == 4


def test_a_slow_viewer_is_dropped_and_counted_and_resumes_where_it_was(
    tail: Tail, journal: Journal, measures: Measures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail_module, "QUEUE_LIMIT", 2)
    slow, quick = join(tail, after=0), join(tail, after=0)
    for _ in range(3):
        # The third is the pulse of one that follows.
        next(slow)
        next(quick)

    def is_dropped() -> bool:
        accept(journal, 1)
        last = journal.last_seq()
        read(quick, lambda ids: bool(ids) and ids[-1] == last)
        return measures.tell().dropped["slow"] == 1

    wait_for(is_dropped, "the slow one is dropped")
    last = journal.last_seq()
    seen = read(slow, lambda _: False)
    again = join(tail, after=seen[-1] if seen else 0)
    assert seen + read(again, lambda ids: bool(ids) and ids[-1] == last) == list(range(1, last + 1))


def test_too_many_viewers_are_not_let_in_until_one_has_gone(tail: Tail, measures: Measures) -> None:
    streams = [join(tail) for _ in range(3)]
    for opened in streams:
        next(opened)
    assert tail.join() is None
    assert measures.tell().viewers == 3
    streams.pop().close()  # type: ignore[attr-defined]
    assert measures.tell().viewers == 2
    assert tail.join() is not None


def test_a_worker_that_stops_ends_its_feeds(tail: Tail, stopping: threading.Event) -> None:
    opened = join(tail)
    next(opened)
    stopping.set()
    assert read(opened, lambda _: False) == []
    assert read(join(tail, after=0), lambda _: False) == []


def test_while_the_journal_cannot_be_read_no_pulse_pretends_that_the_line_is_alive(
    tail: Tail, journal: Journal
) -> None:
    accept(journal, 1)
    opened = join(tail)
    for _ in range(3):
        next(opened)
    elsewhere = journal.path.rename(journal.path.with_name("elsewhere"))
    journal.path.mkdir()
    wait_for(lambda: tail.failing, "the reader fails")
    came: list[bytes] = []
    thread = threading.Thread(target=lambda: came.append(next(opened)))
    thread.start()
    thread.join(0.3)
    assert came == []
    journal.path.rmdir()
    elsewhere.rename(journal.path)
    thread.join(5)
    assert len(came) == 1


def test_trades_of_other_symbols_do_not_silence_the_pulse(tail: Tail, journal: Journal) -> None:
    opened = join(tail, symbol="QUIET")
    for _ in range(2):
        next(opened)
    for _ in range(20):
        accept(journal, 1, symbol="LOUD")
        threading.Event().wait(0.005)
    assert b"event: pulse" in next(opened)


def test_a_place_on_another_tape_and_a_pruned_one_are_told(tail: Tail, journal: Journal) -> None:
    accept(journal, 5)
    other = join(tail, after=900)
    assert b"id: 5\nevent: reset" in b"".join(next(other) for _ in range(3))
    journal.prune(3, b'{"last_seq":3}')
    pruned = join(tail, after=1)
    assert b"id: 3\nevent: pruned" in b"".join(next(pruned) for _ in range(3))
    assert read(pruned, lambda ids: len(ids) >= 2) == [4, 5]


def test_the_route_says_what_no_proxy_may_do_and_refuses_one_viewer_too_many(settings: Settings) -> None:
    app: Flask = create_app(Settings(**{**vars(settings), "feed_max_clients": 1}))
    client = app.test_client()
    first = client.get("/feed", buffered=False)
    assert first.headers["Content-Type"].startswith("text/event-stream")
    assert first.headers["Cache-Control"] == "no-cache, no-transform"
    assert first.headers["X-Accel-Buffering"] == "no"
    second = client.get("/feed")
    assert (second.status_code, second.json["reason"] if second.json else "") == (503, "service_unavailable")
    assert second.headers["Retry-After"] == "1"
    assert app.extensions["measures"].get().tell().dropped["full"] == 1
    first.close()
    assert client.get("/feed", buffered=False).status_code == 200


@pytest.mark.parametrize(
    ("query", "headers", "field"),
    [
        ("?after=-1", {}, "after"),
        ("?after=x", {}, "after"),
        ("", {"Last-Event-ID": "nonsense"}, "after"),
        ("?symbol=a%20b", {}, "symbol"),
        ("?since=1", {}, "since"),
    ],
)
def test_a_bad_wish_is_refused_by_name(client: FlaskClient, query: str, headers: dict[str, str], field: str) -> None:
    answer: Any = client.get(f"/feed{query}", headers=headers)
    assert answer.status_code == 422
    assert list(answer.json["errors"]) == [field]

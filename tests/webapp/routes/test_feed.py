"""The feed: no gap, no duplicate, and no subscriber delays another."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common.errors import JournalError
from common.event import Event
from common.journal.store import Journal
from common.settings import Settings
from tests.conftest import append, make_trade
from tests.waiting import wait_for
from webapp import broadcaster as broadcaster_module
from webapp import create_app
from webapp.broadcaster import Broadcaster, Texts
from webapp.pipeline import Found, State
from webapp.pipeline_watch import PipelineWatch
from webapp.reader import JournalReader
from webapp.routes import feed as feed_module
from webapp.routes.feed import Sources, stream
from webapp.services import services
from webapp.worker_metrics import WorkerMetrics

FOUND: Found = {
    "web": {"ready": True, "reason": None},
    "sidecar": {"reachable": False, "ready": False, "last_seq": None},
    "last_seq": 0,
    "lag_events": None,
    "alerts": None,
}


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcaster_module, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(broadcaster_module, "POLL_SECONDS", 0.005)
    monkeypatch.setattr(feed_module, "HEARTBEAT_SECONDS", 0.05)


class Unwatched(PipelineWatch):
    """Never has a state."""

    def __init__(self) -> None:
        super().__init__(lambda: State(0, FOUND))

    def read(self) -> bytes:
        return b""


@pytest.fixture
def stopping() -> threading.Event:
    return threading.Event()


@pytest.fixture
def metrics() -> WorkerMetrics:
    return WorkerMetrics()


@pytest.fixture
def feeds(journal: Journal, metrics: WorkerMetrics, stopping: threading.Event) -> Iterator[Sources]:
    live, history = (JournalReader(Journal(journal.path)) for _ in range(2))
    broadcaster = Broadcaster(live, metrics, 3, stopping.is_set)
    yield Sources(broadcaster, history, Unwatched())
    # The reader ends with the last subscriber, or when the worker stops.
    stopping.set()


def accept(journal: Journal, count: int, **fields: str) -> None:
    append(journal, [make_trade(**fields) for n in range(count)])


def read(stream: Iterator[bytes], until: Callable[[list[int]], bool]) -> list[int]:
    """Read the ids of trades from a stream until ``until`` returns true for them."""
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


def join(feeds: Sources, after: int | None = None, symbol: str | None = None) -> Iterator[bytes]:
    subscriber = feeds.broadcaster.join()
    assert subscriber is not None
    return stream(feeds, subscriber, after, symbol)


def test_a_subscriber_gets_the_trades_in_the_journal_and_then_each_new_one(feeds: Sources, journal: Journal) -> None:
    accept(journal, 1200)
    opened = join(feeds, after=5)
    assert read(opened, lambda ids: len(ids) >= 1195) == list(range(6, 1201))
    accept(journal, 30)
    assert read(opened, lambda ids: len(ids) >= 30) == list(range(1201, 1231))


def test_trades_accepted_while_history_is_sent_are_sent_once(feeds: Sources, journal: Journal) -> None:
    accept(journal, 700)
    opened = join(feeds, after=0)
    ids = read(opened, lambda ids: len(ids) >= 500)
    accept(journal, 100)
    wait_for(lambda: feeds.broadcaster.last_seq == 800, "the broadcaster has read them")
    assert ids + read(opened, lambda more: len(more) >= 300) == list(range(1, 801))


def test_without_after_the_feed_starts_with_the_next_trade(feeds: Sources, journal: Journal) -> None:
    accept(journal, 10)
    opened = join(feeds)
    next(opened)
    next(opened)
    accept(journal, 2)
    assert read(opened, lambda ids: len(ids) >= 2) == [11, 12]


def test_a_feed_can_be_of_one_symbol(feeds: Sources, journal: Journal) -> None:
    accept(journal, 3, symbol="A")
    accept(journal, 3, symbol="B")
    opened = join(feeds, after=0, symbol="B")
    assert read(opened, lambda ids: len(ids) >= 3) == [4, 5, 6]
    accept(journal, 1, symbol="A")
    accept(journal, 1, symbol="B")
    assert read(opened, lambda ids: len(ids) >= 1) == [8]


def test_a_quiet_feed_has_heartbeats_with_the_newest_seq(feeds: Sources, journal: Journal) -> None:
    accept(journal, 4)
    opened = join(feeds)
    assert next(opened).startswith(b"retry: ")
    for _ in range(2):
        heartbeat = next(opened).decode()
        assert heartbeat.startswith(": ")
        assert json.loads(heartbeat.partition("data: ")[2])["last_seq"] == 4


def test_the_state_of_the_pipeline_comes_with_its_age_and_without_an_id(feeds: Sources) -> None:
    watch = PipelineWatch(lambda: State(time.monotonic(), FOUND))
    opened = join(feeds._replace(pipeline=watch))
    next(opened)
    assert b"event: pipeline" not in next(opened)
    # The first check runs in the background.
    text = next(chunk for chunk in opened if b"event: pipeline" in chunk).decode()
    message = text[text.index("event: pipeline") :]
    assert "id:" not in text
    state = json.loads(message.partition("data: ")[2])
    assert state["web"] == {"ready": True, "reason": None}
    assert state["age"] >= 0


def test_a_check_of_the_pipeline_that_hangs_delays_no_feed_and_its_last_result_gets_older() -> None:
    checks: list[threading.Event] = []

    def check() -> State:
        checks.append(threading.Event())
        if len(checks) > 1:
            checks[-1].wait(15)
        return State(time.monotonic(), {**FOUND, "last_seq": len(checks)})

    def read_state() -> dict[str, Any]:
        text = watch.read().decode().partition("data: ")[2]
        return dict(json.loads(text)) if text else {}

    watch = PipelineWatch(check)
    first = wait_for(read_state, "the first check has ended")
    wait_for(lambda: len(checks) == 2, "the second check has begun")
    later = wait_for(lambda: (state := read_state())["age"] > first["age"] and state, "the state is older")
    assert (later["last_seq"], len(checks)) == (1, 2)
    checks[-1].set()
    wait_for(lambda: read_state()["last_seq"] >= 2, "the second check has ended")


def test_a_subscriber_far_behind_reads_from_the_journal(
    feeds: Sources, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcaster_module, "RECENT_LIMIT", 20)
    slow, fast = join(feeds, after=0), join(feeds, after=0)
    next(slow)
    accept(journal, 5)
    ids = read(slow, lambda ids: len(ids) >= 5)
    for _ in range(10):
        accept(journal, 15)
        last = journal.last_seq()
        read(fast, lambda ids, last=last: bool(ids) and ids[-1] == last)  # type: ignore[misc]
    assert feeds.broadcaster.read_after(ids[-1], None) is None
    assert ids + read(slow, lambda ids: bool(ids) and ids[-1] == last) == list(range(1, last + 1))


@given(st.data())
@hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_feed_has_no_gap_and_no_duplicate_wherever_it_is_suspended(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    monkeypatch.setattr(broadcaster_module, "RECENT_LIMIT", data.draw(st.sampled_from([1, 8, 30])))
    monkeypatch.setattr(broadcaster_module, "CHUNK", 10)
    monkeypatch.setattr(broadcaster_module, "TEXTS_LIMIT", data.draw(st.sampled_from([0, 1, 20])))
    monkeypatch.setattr(feed_module, "CHUNK", 10)
    symbol = data.draw(st.sampled_from([None, "A"]))
    stopping = threading.Event()
    with Journal(tmp_path_factory.mktemp("feed") / "journal.db", "normal") as journal:
        live, history = (JournalReader(Journal(journal.path)) for _ in range(2))
        broadcaster = Broadcaster(live, WorkerMetrics(), 1, stopping.is_set)
        feeds = Sources(broadcaster, history, Unwatched())
        accept(journal, data.draw(st.sampled_from([0, 1, 9, 10, 11, 19, 20, 21])), symbol="A")
        opened, ids = join(feeds, 0, symbol), list[int]()
        for symbol_now, count in data.draw(
            st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 45)), min_size=1, max_size=5)
        ):
            accept(journal, count, symbol=symbol_now)
            if data.draw(st.booleans()):
                wait_for(lambda: feeds.broadcaster.last_seq == journal.last_seq(), "the broadcaster has read them")
            # One more chunk, then the feed is suspended again.
            ids += read(islice(opened, 1), lambda _: False)
        accept(journal, 1, symbol="A")
        last = journal.last_seq()
        ids += read(opened, lambda more: bool(more) and more[-1] == last)
        assert ids == [event.seq for event in journal.read_after(0) if symbol in (None, event.symbol)]
        stopping.set()


class SteppedReader(JournalReader):
    """Waits before each reading until it may go on."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self.waits = 0
        self.go_on = threading.Semaphore(0)
        self.fails = False

    def select(self, **wanted: Any) -> list[Event]:  # noqa: ANN401 - the filters of Journal.select
        self.waits += 1
        assert self.go_on.acquire(timeout=60)
        if self.fails:
            raise JournalError("io", "it cannot be read")
        return super().select(**wanted)


def test_one_reading_wakes_some_and_the_next_the_others(
    journal: Journal, metrics: WorkerMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcaster_module, "WAKES", 1)
    monkeypatch.setattr(broadcaster_module, "WAKES_EACH", 2)
    reader = SteppedReader(Journal(journal.path))
    broadcaster = Broadcaster(reader, metrics, 3, lambda: False)
    subscribers = [each for _ in range(3) if (each := broadcaster.join())]
    wait_for(lambda: reader.waits == 1, "it is about to read")
    woken: list[list[bool]] = []
    for number, count in enumerate((1, 1, 0), start=2):
        # The second trade is accepted while one subscriber still waits for the first, and then nothing can be read.
        accept(journal, count)
        reader.fails = count == 0
        reader.go_on.release()
        wait_for(lambda number=number: reader.waits == number, "it has read and woken")  # type: ignore[misc]
        woken.append([each.wake.is_set() for each in subscribers])
        for each in subscribers:
            each.wake.clear()
    for each in subscribers:
        broadcaster.leave(each)
    reader.go_on.release()
    assert [sum(each) for each in woken] == [2, 2, 1]
    assert all(map(any, zip(*woken[:2], strict=True)))


def test_feeds_of_different_symbols_at_one_seq_get_their_own(feeds: Sources, journal: Journal) -> None:
    streams = [join(feeds, after=0, symbol=symbol) for symbol in ("A", "B", None)]
    for symbol in "ABA":
        accept(journal, 1, symbol=symbol)
    assert [read(each, lambda ids, last=last: last in ids) for each, last in zip(streams, (3, 2, 3), strict=True)] == [  # type: ignore[misc]
        [1, 3],
        [2],
        [1, 2, 3],
    ]


def test_a_subscriber_above_the_limit_is_rejected_until_one_leaves(feeds: Sources, metrics: WorkerMetrics) -> None:
    streams = [join(feeds) for _ in range(3)]
    for opened in streams:
        next(opened)
    assert feeds.broadcaster.join() is None
    assert metrics.registry.get_sample_value("webapp_feed_subscribers") == 3
    streams.pop().close()  # type: ignore[attr-defined]
    assert metrics.registry.get_sample_value("webapp_feed_subscribers") == 2
    assert feeds.broadcaster.join() is not None


def test_feeds_end_when_the_worker_stops(feeds: Sources, stopping: threading.Event) -> None:
    opened = join(feeds)
    next(opened)
    stopping.set()
    assert read(opened, lambda _: False) == []
    assert read(join(feeds, after=0), lambda _: False) == []


def test_there_is_no_heartbeat_while_the_journal_cannot_be_read(
    feeds: Sources, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(journal, 1)
    opened = join(feeds)
    for _ in range(3):
        next(opened)
    elsewhere = journal.path.rename(journal.path.with_name("elsewhere"))
    journal.path.mkdir()
    wait_for(lambda: feeds.broadcaster.failing, "the broadcaster fails")
    periods: list[int] = []
    read_after = feeds.broadcaster.read_after

    def count(seq: int, symbol: str | None) -> Texts | None:
        # Without trades the feed looks for some once in every period of the heartbeat.
        periods.append(seq)
        return read_after(seq, symbol)

    monkeypatch.setattr(feeds.broadcaster, "read_after", count)
    received: list[bytes] = []
    thread = threading.Thread(target=lambda: received.append(next(opened)))
    thread.start()
    wait_for(lambda: len(periods) > 3, "three heartbeats were due")
    assert received == []
    journal.path.rmdir()
    elsewhere.rename(journal.path)
    thread.join(15)
    assert [b"event: heartbeat" in each for each in received] == [True]


def test_trades_of_other_symbols_do_not_stop_the_heartbeat(feeds: Sources, journal: Journal) -> None:
    opened = join(feeds, symbol="A")
    for _ in range(2):
        next(opened)
    received: list[bytes] = []
    thread = threading.Thread(target=lambda: received.append(next(opened)))
    thread.start()

    def accept_another() -> list[bytes]:
        accept(journal, 1, symbol="B")
        return received

    assert b"event: heartbeat" in wait_for(accept_another, "a heartbeat is sent between the trades", every=0.001)[0]
    thread.join(15)


def test_a_seq_of_another_journal_resets_the_feed_and_a_pruned_one_is_reported(
    feeds: Sources, journal: Journal
) -> None:
    accept(journal, 5)
    other = join(feeds, after=900)
    assert b"id: 5\nevent: reset" in b"".join(next(other) for _ in range(3))
    journal.prune(3, b"{}")
    pruned = join(feeds, after=1)
    assert b"id: 3\nevent: pruned" in b"".join(next(pruned) for _ in range(3))
    assert read(pruned, lambda ids: len(ids) >= 2) == [4, 5]


def test_the_route_disables_proxy_buffering_and_rejects_a_subscriber_above_the_limit(settings: Settings) -> None:
    app: Flask = create_app(Settings(**{**vars(settings), "feed_max_clients": 1}))
    client = app.test_client()
    first = client.get("/feed", buffered=False)
    assert first.headers["Content-Type"].startswith("text/event-stream")
    assert first.headers["Cache-Control"] == "no-cache, no-transform"
    assert first.headers["X-Accel-Buffering"] == "no"
    second = client.get("/feed")
    assert (second.status_code, second.json["reason"] if second.json else "") == (503, "service_unavailable")
    assert second.headers["Retry-After"] == "1"
    registry = services(app).metrics.registry
    assert registry.get_sample_value("webapp_feed_dropped_total", {"reason": "full"}) == 1
    first.close()
    assert client.get("/feed", buffered=False).status_code == 200


@pytest.mark.parametrize(
    ("query", "headers", "field"),
    [
        ("?after=-1", {}, "after"),
        ("?after=x", {}, "after"),
        ("", {"Last-Event-ID": "nonsense"}, "after"),
        ("?symbol=a%20", {}, "symbol"),
        ("?since=1", {}, "since"),
    ],
)
def test_a_bad_parameter_is_rejected_by_name(
    client: FlaskClient, query: str, headers: dict[str, str], field: str
) -> None:
    answer: Any = client.get(f"/feed{query}", headers=headers)
    assert answer.status_code == 422
    assert list(answer.json["errors"]) == [field]

"""The totals of a worker: each request is counted once, however it was answered."""

from flask import Flask
from flask.testing import FlaskClient

from common.journal.appending import KeyedTrade
from common.journal.store import Journal
from common.settings import Settings
from common.wire.messages import TOTALS, decode_totals, encode_report
from common.wire.transport import MESSAGE_LIMIT, Receiver
from common.wire.worker_totals import DURATION_BOUNDS, DURATIONS_MAX, REQUESTS_MAX, WorkerTotals
from tests.conftest import BUY
from tests.waiting import wait_for
from tests.webapp.conftest import GOOD, read_token
from webapp.publisher import close_publisher
from webapp.reporting import end_reporting
from webapp.worker_metrics import REJECTIONS, WorkerMetrics


def snapshot(app: Flask) -> WorkerTotals:
    metrics: WorkerMetrics = app.extensions["worker_metrics"].get()
    return metrics.snapshot()


def test_requests_are_counted_by_method_route_and_status_and_not_by_path(app: Flask, client: FlaskClient) -> None:
    made = client.post("/trade", json=GOOD)
    client.get(made.headers["Location"])
    for path in ("/one", "/two", "/trades/none"):
        client.get(path)
    client.open("/", method="BREW")
    totals = snapshot(app)
    assert totals.requests == {
        "POST /trade 201": 1,
        "GET /trades/<event_id> 200": 1,
        "GET (unmatched) 404": 2,
        "GET /trades/<event_id> 404": 1,
        "(other) (unmatched) 405": 1,
    }
    assert {kind: sum(each.buckets.values()) for kind, each in totals.durations.items()}["GET (unmatched)"] == 2
    assert totals.durations["POST /trade"].exemplars.popitem()[1].request_id == made.headers["X-Request-ID"]
    assert totals.resident_bytes > 0
    assert totals.open_fds > 0


def test_rejected_trades_are_counted_by_reason_and_other_rejections_are_not(app: Flask, client: FlaskClient) -> None:
    assert set(snapshot(app).rejected) == set(REJECTIONS)
    client.post("/trade", json={})
    client.post("/trade", data="{", content_type="application/json")
    client.post("/trade", data="x")
    client.post("/trade", data={"symbol": "x"})
    token = read_token(client.get("/").text)
    client.post("/trade", data={"symbol": "x", "csrf_token": token})
    client.post("/trade", json={}, headers={"Host": "evil.example"})
    client.post("/trade", json={}, headers={"Origin": "http://evil.example"})
    client.get("/trades", headers={"Host": "evil.example"})
    client.put("/nowhere", headers={"Origin": "http://evil.example"})
    client.put("/trade")
    client.get("/nowhere")
    client.get("/trades?limit=0")
    assert {reason: count for reason, count in snapshot(app).rejected.items() if count} == {
        "invalid": 2,
        "json": 1,
        "unsupported_media_type": 1,
        "csrf": 1,
        "host": 1,
        "origin": 1,
    }


def test_commits_and_their_sizes_are_observed(app: Flask) -> None:
    publisher = app.extensions["publisher"].get()
    publisher.accept([KeyedTrade(BUY)])
    publisher.accept([KeyedTrade(BUY)] * 3)
    totals = snapshot(app)
    assert totals.groups.total == 4
    assert sum(totals.groups.buckets.values()) == sum(totals.commits.buckets.values()) == 2


def test_a_worker_that_ends_sends_its_final_totals(
    app: Flask, client: FlaskClient, settings: Settings, journal: Journal
) -> None:
    with Receiver(settings.webapp_zmq_addr, journal.key_pair) as receiver:
        client.get("/healthz")
        publisher = app.extensions["publisher"].get()

        def report() -> list[bytes] | None:
            publisher.report(snapshot(app))
            return receiver.receive(0.05)

        # Messages sent before the receiver is connected are lost.
        wait_for(report, "the totals arrive")
        end_reporting(app)
        close_publisher(app)
        received = list(iter(lambda: receiver.receive(1), None))
    kind, _, body = received[-1][0].partition(b"\n")
    assert kind == TOTALS
    totals = decode_totals(body)
    assert totals.ended
    assert totals.requests == {"GET /healthz 200": 1}


def test_the_number_of_counts_is_limited() -> None:
    metrics = WorkerMetrics()
    for number in range(REQUESTS_MAX + 50):
        for bound in (*DURATION_BOUNDS, 100.0):
            metrics.count_request("GET", f"/{number:050}", 200, bound, "r" * 64)
    totals = metrics.snapshot()
    assert len(totals.requests) == REQUESTS_MAX
    assert len(totals.durations) == DURATIONS_MAX
    assert sum(totals.requests.values()) == (REQUESTS_MAX + 50) * 14
    assert totals.find_fault() is None
    assert len(encode_report(totals)[0]) < MESSAGE_LIMIT


def test_each_snapshot_has_the_next_number_and_is_a_copy() -> None:
    metrics = WorkerMetrics()
    first = metrics.snapshot()
    metrics.count_rejection("invalid")
    second = metrics.snapshot(ended=True)
    assert (first.number, second.number) == (1, 2)
    assert (first.rejected["invalid"], second.rejected["invalid"]) == (0, 1)
    assert (first.ended, second.ended) == (False, True)
    assert first.worker == second.worker != WorkerMetrics().snapshot().worker

"""What a worker tells of itself: every request once, however it was answered."""

from flask import Flask
from flask.testing import FlaskClient

from common.journal.store import Journal
from common.settings import Settings
from common.wire.messages import TOTALS, decode_totals, encode_report
from common.wire.transport import MESSAGE_LIMIT, Receiver
from common.wire.worker_totals import DURATION_BOUNDS, DURATIONS_MAX, REQUESTS_MAX, WorkerTotals
from tests.conftest import BUY
from tests.waiting import wait_for
from tests.webapp.conftest import GOOD, read_token
from webapp.publisher import KeyedTrade, close_publisher
from webapp.reporting import end_reporting
from webapp.worker_metrics import REJECTIONS, WorkerMetrics


def tell(app: Flask) -> WorkerTotals:
    measures: WorkerMetrics = app.extensions["measures"].get()
    return measures.snapshot()


def test_requests_are_counted_by_method_route_and_status_and_paths_are_no_route(
    app: Flask, client: FlaskClient
) -> None:
    made = client.post("/trade", json=GOOD)
    client.get(made.headers["Location"])
    for path in ("/one", "/two", "/trades/none"):
        client.get(path)
    client.open("/", method="BREW")
    facts = tell(app)
    assert facts.requests == {
        "POST /trade 201": 1,
        "GET /trades/<event_id> 200": 1,
        "GET (unmatched) 404": 2,
        "GET /trades/<event_id> 404": 1,
        "(other) (unmatched) 405": 1,
    }
    assert {kind: sum(each.buckets.values()) for kind, each in facts.durations.items()}["GET (unmatched)"] == 2
    assert facts.durations["POST /trade"].exemplars.popitem()[1].request_id == made.headers["X-Request-ID"]
    assert facts.resident_bytes > 0
    assert facts.open_fds > 0


def test_refused_trades_are_counted_by_reason_and_no_other_refusals(app: Flask, client: FlaskClient) -> None:
    assert set(tell(app).rejected) == set(REJECTIONS)
    client.post("/trade", json={})
    client.post("/trade", data="{", content_type="application/json")
    client.post("/trade", data="x")
    client.post("/trade", data={"symbol": "x"})
    token = read_token(client.get("/").text)
    client.post("/trade", data={"symbol": "x", "csrf_token": token})
    client.get("/nowhere")
    client.get("/trades?limit=0")
    assert {reason: count for reason, count in tell(app).rejected.items() if count} == {
        "invalid": 2,
        "json": 1,
        "unsupported_media_type": 1,
        "csrf": 1,
    }


def test_commits_and_their_sizes_are_observed(app: Flask) -> None:
    publisher = app.extensions["publisher"].get()
    publisher.accept([KeyedTrade(BUY)])
    publisher.accept([KeyedTrade(BUY)] * 3)
    facts = tell(app)
    assert facts.groups.total == 4
    assert sum(facts.groups.buckets.values()) == sum(facts.commits.buckets.values()) == 2


def test_a_worker_that_ends_says_so_on_the_wire_and_writes_it_down(
    app: Flask, client: FlaskClient, settings: Settings, journal: Journal
) -> None:
    with Receiver(settings.webapp_zmq_addr, journal.key_pair) as receiver:
        client.get("/healthz")
        publisher = app.extensions["publisher"].get()

        def report() -> list[bytes] | None:
            publisher.report(tell(app))
            return receiver.receive(0.05)

        # What is sent before the receiver is connected is lost, as ever.
        wait_for(report, "facts arrive")
        end_reporting(app)
        close_publisher(app)
        received = list(iter(lambda: receiver.receive(1), None))
    kind, _, body = received[-1][0].partition(b"\n")
    assert kind == TOTALS
    facts = decode_totals(body)
    assert facts.ended
    assert facts.requests == {"GET /healthz 200": 1}
    assert [(worker, decode_totals(body)) for worker, body in journal.read_facts()] == [(facts.worker, facts)]
    journal.forget_facts([facts.worker])
    assert journal.read_facts() == []


def test_no_client_can_make_the_counts_grow_without_bound() -> None:
    measures = WorkerMetrics()
    for number in range(REQUESTS_MAX + 50):
        for bound in (*DURATION_BOUNDS, 100.0):
            measures.count_request("GET", f"/{number:050}", 200, bound, "r" * 64)
    facts = measures.snapshot()
    assert len(facts.requests) == REQUESTS_MAX
    assert len(facts.durations) == DURATIONS_MAX
    assert sum(facts.requests.values()) == (REQUESTS_MAX + 50) * 14
    assert facts.find_fault() is None
    assert len(encode_report(facts)[0]) < MESSAGE_LIMIT


def test_each_telling_has_the_next_number_and_is_a_copy() -> None:
    measures = WorkerMetrics()
    first = measures.snapshot()
    measures.count_rejection("invalid")
    second = measures.snapshot(ended=True)
    assert (first.number, second.number) == (1, 2)
    assert (first.rejected["invalid"], second.rejected["invalid"]) == (0, 1)
    assert (first.ended, second.ended) == (False, True)
    assert first.worker == second.worker != WorkerMetrics().snapshot().worker

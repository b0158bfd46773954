"""The metrics of a worker: each request is counted once, however it was answered; the totals that are reported."""

from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from common.journal.appending import KeyedTrade
from common.journal.store import Journal
from common.settings import Settings
from common.wire.messages import TOTALS, decode_message, encode_report
from common.wire.transport import MESSAGE_LIMIT, Receiver
from common.wire.worker_totals import (
    EXEMPLARS_MAX,
    METRICS_MAX,
    MILLION,
    NUMBERS_MAX,
    OTHER,
    REPORT_NUMBERS_MAX,
    SERIES_MAX,
    MetricTotals,
    WorkerTotals,
)
from tests.conftest import BUY, JOURNAL_ID
from tests.waiting import wait_for
from tests.webapp.conftest import GOOD, read_token
from webapp.reporting import end_reporting
from webapp.services import services
from webapp.totals import read_totals
from webapp.worker_metrics import CONNECTION_DROPS, DURATION_BOUNDS, REJECTIONS, WorkerMetrics


def snapshot(app: Flask) -> dict[str, MetricTotals]:
    return by_name(services(app).metrics.snapshot())


def by_name(totals: WorkerTotals) -> dict[str, MetricTotals]:
    return {metric.name: metric for metric in totals.metrics}


def read_counts(metric: MetricTotals) -> dict[str, float]:
    """Read the counter or the count of each series that is not 0."""
    values = {key: values[-2 if metric.buckets else -1] / MILLION for key, values in metric.series.items()}
    return {key: value for key, value in values.items() if value}


def test_requests_are_counted_by_method_route_and_status_and_not_by_path(app: Flask, client: FlaskClient) -> None:
    made = client.post("/trade", json=GOOD)
    client.get(made.headers["Location"])
    for path in ("/one", "/two", "/trades/none"):
        client.get(path)
    client.open("/", method="BREW")
    totals = snapshot(app)
    assert read_counts(totals["webapp_http_requests"]) == {
        "POST /trade 201": 1,
        "GET /trades/<event_id> 200": 1,
        "GET (unmatched) 404": 2,
        "GET /trades/<event_id> 404": 1,
        "(other) (unmatched) 405": 1,
    }
    durations = totals["webapp_http_request_duration_seconds"]
    assert read_counts(durations)["GET (unmatched)"] == 2
    assert durations.exemplars["POST /trade"].popitem()[1].request_id == made.headers["X-Request-ID"]
    assert read_counts(totals["webapp_process_resident_memory_bytes"])[""] > 0
    assert read_counts(totals["webapp_process_open_fds"])[""] > 0


def test_what_is_known_beforehand_is_at_0_from_the_start(app: Flask, client: FlaskClient) -> None:
    client.get("/healthz")
    totals = snapshot(app)
    assert set(totals["webapp_trades_rejected"].series) == set(REJECTIONS)
    assert set(totals["webapp_connections_dropped"].series) == set(CONNECTION_DROPS)
    assert set(totals["webapp_feed_dropped"].series) == {"full"}
    assert set(totals["webapp_downloads_rejected"].series) == {"limit"}
    routes = {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert set(totals["webapp_http_request_duration_seconds"].series) == routes > {"POST /trade", "GET /feed"}
    for name in ("webapp_feed_subscribers", "webapp_connections", "webapp_commit_trades"):
        assert read_counts(totals[name]) == {}
        assert len(totals[name].series) == 1


def test_rejected_trades_are_counted_by_reason_and_other_rejections_are_not(app: Flask, client: FlaskClient) -> None:
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
    assert read_counts(snapshot(app)["webapp_trades_rejected"]) == {
        "invalid": 2,
        "json": 1,
        "unsupported_media_type": 1,
        "csrf": 1,
        "host": 1,
        "origin": 1,
    }


def test_commits_and_their_sizes_are_observed(app: Flask) -> None:
    publisher = services(app).publisher
    publisher.accept([KeyedTrade(BUY)])
    publisher.accept([KeyedTrade(BUY)] * 3)
    totals = snapshot(app)
    assert read_counts(totals["webapp_commit_duration_seconds"]) == {"": 2}
    sizes = totals["webapp_commit_trades"]
    assert dict(zip((*sizes.buckets[:3], "sum"), [*sizes.series[""][:3], sizes.series[""][-1]], strict=True)) == {
        "1.0": 1 * MILLION,
        "2.0": 1 * MILLION,
        "5.0": 2 * MILLION,
        "sum": 4 * MILLION,
    }


def test_a_worker_that_ends_sends_its_final_totals(
    app: Flask, client: FlaskClient, settings: Settings, journal: Journal
) -> None:
    with Receiver(settings.webapp_zmq_addr, journal.key_pair) as receiver:
        client.get("/healthz")
        publisher, metrics = services(app).publisher, services(app).metrics

        def report() -> list[bytes] | None:
            publisher.report(metrics.snapshot())
            return receiver.receive(0.05)

        # Messages sent before the receiver is connected are lost.
        wait_for(report, "the totals arrive")
        end_reporting(services(app))
        services(app).close()
        received = list(iter(lambda: receiver.receive(1), None))
    assert received[-1][0].startswith(TOTALS)
    totals = decode_message(received[-1], JOURNAL_ID)
    assert isinstance(totals, WorkerTotals)
    assert totals.ended
    assert read_counts(by_name(totals)["webapp_http_requests"]) == {"GET /healthz 200": 1}


def test_a_report_of_the_most_series_is_below_every_limit() -> None:
    metrics = WorkerMetrics()
    for number in range(SERIES_MAX + 50):
        for bound in (*DURATION_BOUNDS, 100.0):
            metrics.count_request("GET", f"/{number:0127}", 200, bound, "r" * 64)
    totals = metrics.snapshot()
    assert decode_message(encode_report(totals), JOURNAL_ID) == totals
    requests, durations = list(by_name(totals).values())[:2]
    assert (len(requests.series), len(durations.series)) == (SERIES_MAX, NUMBERS_MAX // (len(DURATION_BOUNDS) + 2))
    assert sum(read_counts(requests).values()) == (SERIES_MAX + 50) * 14
    assert read_counts(requests)[f"{OTHER} {OTHER} {OTHER}"] == 51 * 14
    assert sum(read_counts(durations).values()) == (SERIES_MAX + 50) * 14
    assert sum(map(len, durations.exemplars.values())) == EXEMPLARS_MAX
    assert len(encode_report(totals)[0]) < MESSAGE_LIMIT


def test_every_metric_together_could_have_its_most_series() -> None:
    totals = WorkerMetrics([("GET", "/")])
    totals.count_request("GET", "/", 200, 0.1, "r")
    metrics = totals.snapshot().metrics
    assert len(metrics) < METRICS_MAX
    largest = sum(metric.width * (metric.series_limit if metric.labels else 1) for metric in metrics)
    assert largest < REPORT_NUMBERS_MAX


def test_each_snapshot_has_the_next_number_and_is_a_copy() -> None:
    metrics = WorkerMetrics()
    first = metrics.snapshot()
    metrics.rejections.labels("invalid").inc()
    second = metrics.snapshot(ended=True)
    assert (first.number, second.number) == (1, 2)
    rejected = [by_name(totals)["webapp_trades_rejected"].series["invalid"] for totals in (first, second)]
    assert rejected == [[0], [MILLION]]
    assert (first.ended, second.ended) == (False, True)
    assert first.worker == second.worker != WorkerMetrics().snapshot().worker


def test_any_metric_of_the_library_is_read() -> None:
    registry = CollectorRegistry()
    Counter("webapp_unused", "Without a series.", ["reason"], registry=registry)
    Counter("webapp_seconds", "A sum.", registry=registry).inc(0.1 + 0.2)
    Gauge("webapp_temperature", "By room.", ["house", "room"], registry=registry).labels("1", "2").set(21.5)
    histogram = Histogram("webapp_sizes", "In bytes.", ["kind"], buckets=(1, 2.5), registry=registry)
    for value in (0.5, 2, 7):
        histogram.labels("a").observe(value, {"request_id": f"r{value}"})
    seconds, temperature, sizes = read_totals(registry, {"webapp_sizes": ["b", "a"]})
    assert seconds == MetricTotals("webapp_seconds", "counter", "A sum.", series={"": [300_000]})
    assert temperature == MetricTotals(
        "webapp_temperature", "gauge", "By room.", ("house", "room"), series={"1 2": [21_500_000]}
    )
    assert (sizes.labels, sizes.buckets) == (("kind",), ("1.0", "2.5", "+Inf"))
    assert sizes.series == {"b": [0, 0, 0, 0], "a": [1_000_000, 2_000_000, 3_000_000, 9_500_000]}
    assert {bound: each.request_id for bound, each in sizes.exemplars["a"].items()} == {
        "1.0": "r0.5",
        "2.5": "r2",
        "+Inf": "r7",
    }

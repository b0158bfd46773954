"""Which reports of a worker are usable."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from common.errors import BadMessageError
from common.wire.messages import TOTALS, decode_message, encode_report
from common.wire.worker_totals import EXEMPLARS_MAX, METRICS_MAX, SERIES_MAX, VALUE_MAX, MetricTotals, WorkerTotals
from tests.conftest import JOURNAL_ID, name_worker
from tests.worker_totals import count_requests, gauge, observe

COUNTER, HISTOGRAM = count_requests({"POST /trade 201": 2}), observe("GET /", 0.05, 0.5, request_id="r-1")
REPORT = WorkerTotals(name_worker(1), 3, metrics=[COUNTER, HISTOGRAM, gauge("webapp_connections", 5)])
JSON = encode_report(REPORT)[0].removeprefix(TOTALS + b"\n")

Change = Callable[[Any, Any, Any], object]
"""Changes a report, its counter or its histogram."""


def decode(report: object) -> object:
    return decode_message([TOTALS + b"\n" + json.dumps(report).encode()], JOURNAL_ID)


def test_a_report_is_decoded_as_it_was_encoded() -> None:
    assert decode(json.loads(JSON)) == REPORT


@pytest.mark.parametrize(
    "change",
    [
        lambda report, _, __: report.pop("worker"),
        lambda report, _, __: report.update(worker="w1"),
        lambda report, _, __: report.update(worker="f" * 32),
        lambda report, _, __: report.update(number=-1),
        lambda report, counter, _: report["metrics"].append(counter),
        lambda _, counter, __: counter.update(name="requests"),
        lambda _, counter, __: counter.update(name="trading_trades"),
        lambda _, counter, __: counter.update(name="sidecar_gaps"),
        lambda _, counter, __: counter.update(name="webapp_workers"),
        lambda _, counter, __: counter.update(name="webapp_Upper"),
        lambda _, counter, __: counter.update(name="webapp_requests_total"),
        lambda _, counter, __: counter.update(name="webapp_requests_count"),
        lambda _, counter, __: counter.update(name="webapp_x\n"),
        lambda _, counter, __: counter.update(name="webapp_" + "x" * 65),
        lambda _, counter, __: counter.update(type="summary"),
        lambda _, counter, __: counter.update(type="histogram"),
        lambda _, counter, __: counter.update(help="h" * 201),
        lambda _, counter, __: counter.update(labels=["method", "route"]),
        lambda _, counter, __: counter.update(labels=["method", "method", "route"]),
        lambda _, counter, __: counter.update(labels=["method", "route", "le"]),
        lambda _, counter, __: counter.update(labels=["method", "route", "__name__"]),
        lambda _, counter, __: counter.update(labels=["method", "route", "a b"]),
        lambda _, counter, __: counter.update(buckets=["1.0", "+Inf"]),
        lambda _, counter, __: counter["series"].update({"GET /": [1]}),
        lambda _, counter, __: counter["series"].update({"GET / 200 x": [1]}),
        lambda _, counter, __: counter["series"].update({"GET  / 200": [1]}),
        lambda _, counter, __: counter["series"].update({"GET /\x00 200": [1]}),
        lambda _, counter, __: counter["series"].update({"GET /\u20ac 200": [1]}),
        lambda _, counter, __: counter["series"].update({"GET /" + "r" * 128 + " 200": [1]}),
        lambda _, counter, __: counter["series"].update({"GET / 200": []}),
        lambda _, counter, __: counter["series"].update({"GET / 200": [1, 2]}),
        lambda _, counter, __: counter["series"].update({"GET / 200": [-1]}),
        lambda _, counter, __: counter["series"].update({"GET / 200": [1.5]}),
        lambda _, counter, __: counter["series"].update({"GET / 200": ["1"]}),
        lambda _, counter, __: counter["series"].update({"GET / 200": [VALUE_MAX + 1]}),
        lambda _, counter, __: counter["series"].update({"GET / 200": [2**64]}),
        lambda _, counter, __: counter["series"].update({f"GET /{number} 200": [1] for number in range(SERIES_MAX)}),
        lambda _, __, histogram: histogram.update(buckets=[]),
        lambda _, __, histogram: histogram.update(buckets=["1.0", "0.1", "+Inf"]),
        lambda _, __, histogram: histogram.update(buckets=["0.1", "1.0", "2.0"]),
        lambda _, __, histogram: histogram.update(buckets=["0.1", "NaN", "+Inf"]),
        lambda _, __, histogram: histogram.update(buckets=["0.1", "e", "+Inf"]),
        lambda _, __, histogram: histogram.update(buckets=["-1", "1.0", "+Inf"]),
        lambda _, __, histogram: histogram["series"].update({"GET /": [2, 1, 1, 1]}),
        lambda _, __, histogram: histogram["series"].update({"GET /": [1, 1, 1]}),
        lambda _, __, histogram: histogram["series"].clear(),
        lambda _, __, histogram: histogram["exemplars"]["GET /"]["1.0"].update(request_id='x"} 1 # {y="'),
        lambda _, __, histogram: histogram["exemplars"]["GET /"]["1.0"].update(value=7),
        lambda _, __, histogram: histogram["exemplars"]["GET /"].update(
            {"3.0": {"request_id": "r", "value": 1, "at": 1}}
        ),
    ],
)
def test_a_report_that_no_worker_sends_is_rejected(change: Change) -> None:
    report = json.loads(JSON)
    change(report, *report["metrics"][:2])
    with pytest.raises(BadMessageError) as caught:
        decode(report)
    assert caught.value.reason == "body"


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ([gauge(f"webapp_{number}", 1) for number in range(METRICS_MAX + 1)], "more than 100 metrics"),
        (
            [observe("GET /", buckets=(*map(str, range(number, number + 99)), "+Inf")) for number in range(100)],
            "numbers",
        ),
    ],
)
def test_a_report_is_limited_as_a_whole(metrics: list[MetricTotals], said: str) -> None:
    with pytest.raises(BadMessageError, match=said):
        decode_message(encode_report(WorkerTotals(name_worker(1), metrics=metrics)), JOURNAL_ID)


def test_exemplars_are_limited() -> None:
    metric = observe("GET /")
    (values,) = metric.series.values()
    for number in range(EXEMPLARS_MAX // 2 + 1):
        more = observe(f"GET /{number}", 0.05, 0.5, request_id="r")
        metric.series |= more.series
        metric.exemplars |= {key: dict.fromkeys(("1.0", "+Inf"), each["1.0"]) for key, each in more.exemplars.items()}
    metric.series["GET /"] = values
    with pytest.raises(BadMessageError, match="200 exemplars"):
        decode_message(encode_report(WorkerTotals(name_worker(1), metrics=[metric])), JOURNAL_ID)

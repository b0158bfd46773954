from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadMessageError
from common.tally import COUNT_MAX
from common.wire.messages import decode_message, encode_report
from common.wire.worker_totals import (
    METRICS_MAX,
    MILLION,
    NUMBERS_MAX,
    OTHER,
    SERIES_MAX,
    MetricTotals,
    WorkerTotals,
)
from sidecar.snapshot import decode_state, encode_state
from sidecar.state import Observed, State
from sidecar.worker_collector import expose_workers
from sidecar.workers import ACTIVE_LIMIT, RETIRED_LIMIT, Workers
from tests.conftest import JOURNAL_ID, name_worker
from tests.worker_totals import count_rejections, count_requests, count_seconds, gauge, observe

A, B, C = map(name_worker, (1, 2, 3))
POST = "POST /trade 201"


def expose(workers: Workers, active: Sequence[str] = ()) -> dict[str, float]:
    """Return each sample by its name and labels."""
    return {
        ",".join([sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))]): sample.value
        for metric in expose_workers(workers, active)
        for sample in metric.samples
    }


def make_totals(worker: str, number: int, requests: int, *, ended: bool = False) -> WorkerTotals:
    return WorkerTotals(
        worker,
        number,
        ended,
        [
            count_requests({POST: requests}),
            observe("POST /trade", *[0.5] * requests, request_id=f"{worker}-{number}"),
            count_rejections({"invalid": 1}),
        ],
    )


def count(workers: Workers) -> float:
    return expose(workers).get("webapp_http_requests_total,method=POST,route=/trade,status=201", 0)


def test_a_gauge_of_a_setting_is_the_highest_and_not_the_sum() -> None:
    workers = Workers()
    for worker, configured in ((A, 8), (B, 2), (C, 9)):
        workers.update(WorkerTotals(worker, 1, metrics=[gauge("webapp_workers_configured", configured)]))
    assert expose(workers, [A, B])["webapp_workers_configured"] == 8
    assert expose(workers)["webapp_workers_configured"] == 0


def test_the_newest_totals_of_every_worker_are_summed() -> None:
    workers = Workers()
    assert workers.update(make_totals(A, 1, 5))
    assert workers.update(make_totals(B, 1, 7))
    assert workers.update(make_totals(A, 4, 9))
    samples = expose(workers)
    assert samples["webapp_http_requests_total,method=POST,route=/trade,status=201"] == 16
    durations = "webapp_http_request_duration_seconds_{},{}method=POST,route=/trade"
    assert [samples[durations.format("bucket", f"le={bound},")] for bound in ("0.1", "1.0", "+Inf")] == [0, 16, 16]
    assert samples[durations.format("count", "")] == 16
    assert samples[durations.format("sum", "")] == 8
    assert samples["webapp_trades_rejected_total,reason=invalid"] == 2


def test_gauges_are_those_of_the_workers_that_report() -> None:
    workers = Workers()
    for worker, connections in ((A, 5), (B, 7)):
        workers.update(WorkerTotals(worker, 1, metrics=[gauge("webapp_connections", connections)]))
    assert expose(workers, [A, B]) == {"webapp_workers": 2, "webapp_connections": 12}
    assert expose(workers, [B]) == {"webapp_workers": 1, "webapp_connections": 7}
    workers.update(WorkerTotals(B, 2, ended=True, metrics=[gauge("webapp_connections", 7)]))
    assert expose(workers, []) == {"webapp_workers": 0, "webapp_connections": 0}


def test_no_sum_falls_by_a_bit_when_a_worker_ends() -> None:
    workers = Workers()
    for number, seconds in enumerate((0.1, 0.2, 0.3, 0.7, 1.1)):
        metrics = [count_seconds(seconds), observe("GET /", seconds)]
        workers.update(WorkerTotals(name_worker(number), 1, metrics=metrics))
    before = expose(workers)
    assert before["webapp_process_cpu_seconds_total"] == 2.4
    for number in (3, 0, 4, 1):
        seconds = (0.1, 0.2, 0.3, 0.7, 1.1)[number]
        metrics = [count_seconds(seconds), observe("GET /", seconds)]
        workers.update(WorkerTotals(name_worker(number), 2, ended=True, metrics=metrics))
        assert expose(workers) == before


def test_late_and_duplicate_totals_are_not_counted() -> None:
    workers = Workers()
    workers.update(make_totals(A, 3, 5))
    assert not workers.update(make_totals(A, 3, 5))
    assert not workers.update(make_totals(A, 2, 4))
    assert count(workers) == 5


def test_a_retired_worker_stays_in_the_sum_and_is_not_counted_again() -> None:
    workers = Workers()
    workers.update(make_totals(A, 1, 5))
    workers.update(make_totals(A, 2, 6, ended=True))
    workers.update(make_totals(B, 1, 1))
    assert list(workers.active) == [B]
    assert not workers.update(make_totals(A, 2, 6, ended=True))
    assert not workers.update(make_totals(A, 9, 99))
    assert count(workers) == 7


def test_memory_is_bounded_however_many_workers_come_and_go() -> None:
    workers = Workers()
    for number in range(2000):
        workers.update(make_totals(name_worker(2 * number), 1, 1))
        workers.update(make_totals(name_worker(2 * number + 1), 1, 1, ended=True))
    assert len(workers.active) == ACTIVE_LIMIT
    assert len(workers.retired) == RETIRED_LIMIT
    assert count(workers) == 4000


def test_a_worker_that_was_silent_for_long_is_not_counted_twice_when_it_reports_again() -> None:
    workers = Workers()
    workers.update(make_totals(A, 1, 5))
    for number in range(ACTIVE_LIMIT):
        workers.update(make_totals(name_worker(100 + number), 1, 1))
    assert A not in workers.active
    assert not workers.update(make_totals(A, 2, 6))
    assert count(workers) == 5 + ACTIVE_LIMIT


def test_a_forgotten_worker_that_still_runs_is_never_counted_twice() -> None:
    workers = Workers()
    workers.update(make_totals(A, 1, 5))
    later = [name_worker(number) for number in range(2, 2 + ACTIVE_LIMIT + 2 * RETIRED_LIMIT)]
    for worker in later:
        workers.update(make_totals(worker, 1, 1))
    assert A not in workers.active
    assert A not in workers.retired
    for number in (2, 3):
        with pytest.raises(BadMessageError) as caught:
            workers.update(make_totals(A, number, 6))
        assert caught.value.reason == "forgotten"
    with pytest.raises(BadMessageError):
        workers.update(make_totals(A, 4, 7, ended=True))
    assert count(workers) == 5 + len(later)
    assert workers.update(make_totals(name_worker(10_000), 1, 1))
    assert len(msgspec.json.encode(workers.retired)) < 40 * RETIRED_LIMIT


def make_largest(number: int) -> WorkerTotals:
    """Make the largest totals of one worker, with series that no other worker has."""
    bounds = (*map(str, range(13)), "+Inf")
    durations = observe("GET /", *range(14), buckets=bounds)
    (values,) = durations.series.values()
    keys = [f"GET /{number}-{kind}" for kind in range(durations.series_limit)]
    durations.series = dict.fromkeys(keys, values)
    requests = count_requests({f"GET /{number}-{kind} 200": 1 for kind in range(SERIES_MAX)})
    rejections = count_rejections({f"r{number}_{kind}": 1 for kind in range(SERIES_MAX)})
    return WorkerTotals(name_worker(number), 1, metrics=[requests, durations, rejections])


def test_series_of_all_workers_together_are_limited_and_the_rest_is_counted_as_other() -> None:
    workers = Workers()
    for number in range(1, 61):
        totals = make_largest(number)
        assert decode_message(encode_report(totals), JOURNAL_ID) == totals
        workers.update(totals)
    samples = expose(workers)
    durations = NUMBERS_MAX // 15
    requests = [value for name, value in samples.items() if name.startswith("webapp_http_requests")]
    counts = [value for name, value in samples.items() if name.startswith("webapp_http_request_duration_seconds_count")]
    assert (len(requests), len(counts)) == (SERIES_MAX, durations)
    assert sum(requests) == 60 * SERIES_MAX
    assert samples[f"webapp_trades_rejected_total,reason={OTHER}"] == 59 * SERIES_MAX + 1
    other = f"webapp_http_requests_total,method={OTHER},route={OTHER},status={OTHER}"
    assert samples[other] == 59 * SERIES_MAX + 1
    other = f"webapp_http_request_duration_seconds_count,method={OTHER},route={OTHER}"
    assert samples[other] == (59 * durations + 1) * 14
    assert len(encode_state(State("o", observed=Observed(workers=workers)))) < 2**20


def test_no_series_falls_when_workers_end_in_another_order_than_they_came() -> None:
    workers = Workers()
    totals = {number: make_largest(number) for number in (1, 2)} | {3: make_totals(C, 1, 1)}
    for each in totals.values():
        workers.update(each)
    before = expose(workers)
    for number in (2, 3, 1):
        workers.update(msgspec.structs.replace(totals[number], number=2, ended=True))
        assert expose(workers) == before


def test_a_worker_that_reports_less_than_before_takes_nothing_away() -> None:
    workers = Workers()
    workers.update(make_totals(A, 1, 5))
    workers.update(WorkerTotals(A, 2, metrics=[count_requests({POST: 4, "GET / 200": 1})]))
    workers.update(WorkerTotals(A, 3, ended=True))
    assert count(workers) == 5
    assert expose(workers)["webapp_trades_rejected_total,reason=invalid"] == 1


def test_buckets_that_change_are_added_up_and_none_falls() -> None:
    workers = Workers()
    workers.update(WorkerTotals(A, 1, ended=True, metrics=[observe("GET /", 0.05, 0.5, 5)]))
    before = expose(workers)
    workers.update(WorkerTotals(B, 1, metrics=[observe("GET /", 0.3, 0.7, buckets=("0.5", "1.0", "+Inf"))]))
    samples = expose(workers)
    name = "webapp_http_request_duration_seconds_bucket,le={},method=GET,route=/"
    # Of the first worker it is only known that two of three took up to 1 s, and one of them up to 0.1 s.
    assert [samples[name.format(bound)] for bound in ("0.1", "0.5", "1.0", "+Inf")] == [1, 2, 4, 5]
    assert samples["webapp_http_request_duration_seconds_sum,method=GET,route=/"] == pytest.approx(6.55)
    assert {key: value for key, value in before.items() if samples[key] < value} == {}


def test_a_metric_with_other_labels_is_exposed_beside_the_earlier_one() -> None:
    workers = Workers()
    workers.update(WorkerTotals(A, 1, ended=True, metrics=[count_rejections({"invalid": 2})]))
    metric = MetricTotals(
        "webapp_trades_rejected", "counter", "New.", ("reason", "route"), series={"invalid /": [MILLION]}
    )
    workers.update(WorkerTotals(B, 1, metrics=[metric]))
    (family,) = [each for each in expose_workers(workers, []) if each.name == "webapp_trades_rejected"]
    assert [(sample.labels, sample.value) for sample in family.samples] == [
        ({"reason": "invalid"}, 2),
        ({"reason": "invalid", "route": "/"}, 1),
    ]


def test_a_metric_of_another_type_is_rejected_and_nothing_is_counted() -> None:
    workers = Workers()
    workers.update(make_totals(A, 1, 5))
    before = msgspec.json.encode(workers)
    changed = MetricTotals("webapp_http_requests", "gauge", "Now a gauge.", series={"": [MILLION]})
    with pytest.raises(BadMessageError, match="webapp_http_requests is a counter and a gauge") as caught:
        workers.update(WorkerTotals(B, 1, metrics=[count_rejections({"new": 1}), changed]))
    assert caught.value.reason == "body"
    assert msgspec.json.encode(workers) == before


def test_the_number_of_metrics_of_all_workers_is_limited() -> None:
    workers = Workers()
    for number in range(METRICS_MAX):
        workers.update(WorkerTotals(name_worker(number), 1, metrics=[gauge(f"webapp_{number}", 1)]))
    with pytest.raises(BadMessageError, match="webapp_more is one more than 100"):
        workers.update(WorkerTotals(name_worker(1000), 1, metrics=[gauge("webapp_more", 1)]))
    assert workers.update(WorkerTotals(name_worker(1000), 1, metrics=[gauge("webapp_7", 1)]))
    assert len(workers.metrics) == METRICS_MAX


def test_sums_stop_at_the_largest_value_that_a_snapshot_can_hold() -> None:
    workers = Workers()
    largest = MetricTotals("webapp_process_cpu_seconds", "counter", "", series={"": [10**18]})
    for number in range(12):
        workers.update(WorkerTotals(name_worker(number), 1, ended=True, metrics=[largest]))
    state = decode_state(encode_state(State(JOURNAL_ID, observed=Observed(workers=workers))))
    ((_, series),) = state.observed.workers.sum_up()
    assert series == {"": [COUNT_MAX]}


metrics = st.one_of(
    st.dictionaries(st.sampled_from([POST, "GET / 200"]), st.integers(0, 9)).map(count_requests),
    st.dictionaries(st.sampled_from(["invalid", "json"]), st.integers(0, 9)).map(count_rejections),
    st.floats(0, 9).map(count_seconds),
    st.builds(
        lambda key, seconds, buckets: observe(key, *seconds, buckets=buckets),
        st.sampled_from(["GET /", "POST /trade"]),
        st.lists(st.floats(0, 20), max_size=4),
        st.sampled_from([("0.1", "1.0", "+Inf"), ("0.5", "1.0", "+Inf"), ("+Inf",)]),
    ),
)
reports = st.builds(
    WorkerTotals,
    st.sampled_from([A, B, C]),
    st.integers(1, 6),
    st.booleans(),
    st.lists(metrics, max_size=4, unique_by=lambda metric: metric.declaration),
)


@given(st.lists(reports, max_size=12))
def test_no_series_falls_or_disappears_whatever_is_reported(history: Iterable[WorkerTotals]) -> None:
    workers = Workers()
    before: dict[str, float] = {}
    for totals in history:
        workers.update(totals)
        now = expose(workers)
        assert {key: (value, now.get(key)) for key, value in before.items() if now.get(key, -1) < value} == {}
        before = now
    state = State(JOURNAL_ID, observed=Observed(workers=workers))
    assert decode_state(encode_state(state)) == state

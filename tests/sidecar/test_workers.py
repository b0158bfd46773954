import msgspec
import pytest

from common.errors import BadMessageError
from common.histogram import Histogram
from common.tally import COUNT_MAX
from common.wire.worker_totals import (
    DURATION_BOUNDS,
    DURATIONS_MAX,
    OTHER_REASON,
    OTHER_REQUEST,
    OTHER_ROUTE,
    REASONS_MAX,
    REQUESTS_MAX,
    WorkerTotals,
)
from sidecar.snapshot import encode_state
from sidecar.state import Observed, State
from sidecar.workers import ACTIVE_LIMIT, RETIRED_LIMIT, Workers
from tests.conftest import name_worker


def make_totals(worker: str, number: int, requests: int, *, ended: bool = False) -> WorkerTotals:
    histogram = Histogram.over(DURATION_BOUNDS)
    for _ in range(requests):
        histogram.observe(0.02, f"{worker}-{number}", number)
    kind = "POST /trade"
    return WorkerTotals(
        worker, number, ended, {f"{kind} 201": requests}, {kind: histogram}, {"invalid": 1}, cpu_micros=500_000
    )


def count(workers: Workers) -> int:
    return workers.sum_up().requests.get("POST /trade 201", 0)


def test_the_newest_totals_of_every_worker_are_summed() -> None:
    workers = Workers()
    assert workers.update(make_totals("a", 1, 5))
    assert workers.update(make_totals("b", 1, 7))
    assert workers.update(make_totals("a", 4, 9))
    total = workers.sum_up()
    assert total.requests == {"POST /trade 201": 16}
    assert sum(total.durations["POST /trade"].buckets.values()) == 16
    assert total.durations["POST /trade"].exemplars["0.025"].request_id == "a-4"
    assert total.rejected == {"invalid": 2}
    assert total.cpu_micros == 1_000_000


def test_no_sum_falls_when_a_worker_ends() -> None:
    workers = Workers()
    for number, seconds in enumerate((0.1, 0.2, 0.3, 0.7, 1.1)):
        totals = WorkerTotals(f"w{number}", 1, cpu_micros=round(seconds * 1_000_000))
        totals.commits.observe(seconds)
        workers.update(totals)
    before = workers.sum_up()
    for worker in ("w3", "w0", "w4", "w1"):
        workers.update(msgspec.structs.replace(workers.active[worker], number=2, ended=True))
        after = workers.sum_up()
        assert (after.cpu_micros, after.commits.total) == (before.cpu_micros, before.commits.total)


def test_late_and_duplicate_totals_are_not_counted() -> None:
    workers = Workers()
    workers.update(make_totals("a", 3, 5))
    assert not workers.update(make_totals("a", 3, 5))
    assert not workers.update(make_totals("a", 2, 4))
    assert count(workers) == 5


def test_a_retired_worker_stays_in_the_sum_and_is_not_counted_again() -> None:
    workers = Workers()
    workers.update(make_totals("a", 1, 5))
    workers.update(make_totals("a", 2, 6, ended=True))
    workers.update(make_totals("b", 1, 1))
    assert list(workers.active) == ["b"]
    assert not workers.update(make_totals("a", 2, 6, ended=True))
    assert not workers.update(make_totals("a", 9, 99))
    assert count(workers) == 7


def test_memory_is_bounded_however_many_workers_come_and_go() -> None:
    workers = Workers()
    for number in range(2000):
        workers.update(make_totals(f"killed-{number}", 1, 1))
        workers.update(make_totals(f"ended-{number}", 1, 1, ended=True))
    assert len(workers.active) == ACTIVE_LIMIT
    assert len(workers.retired) == RETIRED_LIMIT
    assert count(workers) == 4000


def test_a_worker_that_was_silent_for_long_is_not_counted_twice_when_it_reports_again() -> None:
    workers = Workers()
    workers.update(make_totals("frozen", 1, 5))
    for number in range(ACTIVE_LIMIT):
        workers.update(make_totals(f"w{number}", 1, 1))
    assert "frozen" not in workers.active
    assert not workers.update(make_totals("frozen", 2, 6))
    assert count(workers) == 5 + ACTIVE_LIMIT


def test_a_forgotten_worker_that_still_runs_is_never_counted_twice() -> None:
    workers = Workers()
    frozen = name_worker(1)
    workers.update(make_totals(frozen, 1, 5))
    later = [name_worker(number) for number in range(2, 2 + ACTIVE_LIMIT + 2 * RETIRED_LIMIT)]
    for worker in later:
        workers.update(make_totals(worker, 1, 1))
    assert frozen not in workers.active
    assert frozen not in workers.retired
    for number in (2, 3):
        with pytest.raises(BadMessageError) as caught:
            workers.update(make_totals(frozen, number, 6))
        assert caught.value.reason == "forgotten"
    with pytest.raises(BadMessageError):
        workers.update(make_totals(frozen, 4, 7, ended=True))
    assert count(workers) == 5 + len(later)
    assert workers.update(make_totals(name_worker(10_000), 1, 1))
    assert len(msgspec.json.encode(workers.retired)) < 40 * RETIRED_LIMIT


def test_random_names_of_an_earlier_release_do_not_mark_later_workers_as_forgotten() -> None:
    workers = Workers(retired=["f" * 12 + "4" + "f" * 19] * RETIRED_LIMIT)
    assert workers.update(make_totals(name_worker(1), 1, 1, ended=True))
    assert workers.forgotten == ""
    assert workers.update(make_totals(name_worker(2), 1, 1))


def make_largest(number: int) -> WorkerTotals:
    """Make the largest totals of one worker, with kinds that no other worker has."""
    totals = WorkerTotals(name_worker(number), 1)
    totals.requests = {f"GET /{number}-{kind} 200": 1 for kind in range(REQUESTS_MAX)}
    totals.rejected = {f"r{number}_{kind}": 1 for kind in range(REASONS_MAX)}
    for kind in range(DURATIONS_MAX):
        histogram = totals.durations[f"GET /{number}-{kind}"] = Histogram.over(DURATION_BOUNDS)
        for bound in (*DURATION_BOUNDS, 100.0):
            histogram.observe(bound, f"{number:064}", number)
    assert totals.find_fault() is None
    return totals


def test_kinds_of_all_workers_together_are_limited_and_the_rest_is_counted_as_other() -> None:
    workers = Workers()
    for number in range(1, 61):
        workers.update(make_largest(number))
    total = workers.sum_up()
    assert (len(total.requests), len(total.durations), len(total.rejected)) == (
        REQUESTS_MAX,
        DURATIONS_MAX,
        REASONS_MAX,
    )
    assert sum(total.requests.values()) == 60 * REQUESTS_MAX
    assert total.requests[OTHER_REQUEST] == 59 * REQUESTS_MAX + 1
    assert total.rejected[OTHER_REASON] == 59 * REASONS_MAX + 1
    assert sum(total.durations[OTHER_ROUTE].buckets.values()) == (59 * DURATIONS_MAX + 1) * 14
    assert len(encode_state(State("o", observed=Observed(workers=workers)))) < 2**20


def test_no_series_falls_when_workers_end_in_another_order_than_they_came() -> None:
    workers = Workers()
    totals = [make_largest(1), make_largest(2), make_totals(name_worker(3), 1, 1)]
    for each in totals:
        workers.update(each)
    for worker in (2, 3, 1):
        before = workers.sum_up()
        newest = workers.active[name_worker(worker)]
        workers.update(msgspec.structs.replace(newest, number=2, ended=True))
        after = workers.sum_up()
        assert after.requests == before.requests
        assert after.rejected == before.rejected
        assert {kind: each.buckets for kind, each in after.durations.items()} == {
            kind: each.buckets for kind, each in before.durations.items()
        }


def test_sums_stop_at_the_largest_value_that_a_snapshot_can_hold() -> None:
    workers = Workers()
    workers.retired_totals.requests["GET / 200"] = (
        workers.retired_totals.cpu_micros
    ) = workers.retired_totals.commits.buckets["0.001"] = COUNT_MAX
    more = WorkerTotals(name_worker(1), 1, ended=True, requests={"GET / 200": 5}, cpu_micros=5)
    more.commits.observe(0.0001)
    workers.update(more)
    decoded = msgspec.json.decode(msgspec.json.encode(workers.retired_totals), type=WorkerTotals)
    assert decoded.requests["GET / 200"] == decoded.cpu_micros == decoded.commits.buckets["0.001"] == COUNT_MAX

import msgspec

from sidecar.workers import GONE_LIMIT, LIVE_LIMIT, Workers
from tape.facts import DURATION_BOUNDS, Facts
from tape.histogram import Histogram


def tell(worker: str, number: int, requests: int, *, ended: bool = False) -> Facts:
    histogram = Histogram.over(DURATION_BOUNDS)
    for _ in range(requests):
        histogram.observe(0.02, f"{worker}-{number}", number)
    kind = "POST /trade"
    return Facts(
        worker, number, ended, {f"{kind} 201": requests}, {kind: histogram}, {"invalid": 1}, cpu_micros=500_000
    )


def count(workers: Workers) -> int:
    return workers.sum_up().requests.get("POST /trade 201", 0)


def test_the_newest_facts_of_every_worker_add_up() -> None:
    workers = Workers()
    assert workers.hear(tell("a", 1, 5))
    assert workers.hear(tell("b", 1, 7))
    assert workers.hear(tell("a", 4, 9))
    total = workers.sum_up()
    assert total.requests == {"POST /trade 201": 16}
    assert sum(total.durations["POST /trade"].buckets.values()) == 16
    assert total.durations["POST /trade"].exemplars["0.025"].request_id == "a-4"
    assert total.rejected == {"invalid": 2}
    assert total.cpu_micros == 1_000_000


def test_no_sum_falls_when_a_worker_ends() -> None:
    workers = Workers()
    for number, seconds in enumerate((0.1, 0.2, 0.3, 0.7, 1.1)):
        facts = Facts(f"w{number}", 1, cpu_micros=round(seconds * 1_000_000))
        facts.commits.observe(seconds)
        workers.hear(facts)
    before = workers.sum_up()
    for worker in ("w3", "w0", "w4", "w1"):
        workers.hear(msgspec.structs.replace(workers.live[worker], number=2, ended=True))
        after = workers.sum_up()
        assert (after.cpu_micros, after.commits.total) == (before.cpu_micros, before.commits.total)


def test_facts_that_come_late_or_twice_count_nothing() -> None:
    workers = Workers()
    workers.hear(tell("a", 3, 5))
    assert not workers.hear(tell("a", 3, 5))
    assert not workers.hear(tell("a", 2, 4))
    assert count(workers) == 5


def test_a_worker_that_ended_is_kept_in_the_sum_and_told_from_new_ones() -> None:
    workers = Workers()
    workers.hear(tell("a", 1, 5))
    workers.hear(tell("a", 2, 6, ended=True))
    workers.hear(tell("b", 1, 1))
    assert list(workers.live) == ["b"]
    assert not workers.hear(tell("a", 2, 6, ended=True))
    assert not workers.hear(tell("a", 9, 99))
    assert count(workers) == 7


def test_memory_is_bounded_however_many_workers_come_and_go() -> None:
    workers = Workers()
    for number in range(2000):
        workers.hear(tell(f"killed-{number}", 1, 1))
        workers.hear(tell(f"ended-{number}", 1, 1, ended=True))
        workers.let_go(())
    assert len(workers.live) == LIVE_LIMIT
    assert len(workers.gone) == GONE_LIMIT
    assert count(workers) == 4000


def test_a_gone_worker_is_known_as_long_as_it_may_be_told_again() -> None:
    workers = Workers()
    ended = [tell(f"w{number}", 1, 1, ended=True) for number in range(3 * GONE_LIMIT)]
    for facts in ended:
        workers.hear(facts)
    workers.let_go({facts.worker for facts in ended[:10]})
    assert len(workers.gone) == GONE_LIMIT + 10
    assert not any(workers.hear(facts) for facts in (*ended[:10], *ended[-GONE_LIMIT:]))
    workers.let_go(())
    assert len(workers.gone) == GONE_LIMIT
    assert count(workers) == 3 * GONE_LIMIT


def test_a_worker_that_was_silent_for_long_is_not_counted_twice_when_it_comes_back() -> None:
    workers = Workers()
    workers.hear(tell("frozen", 1, 5))
    for number in range(LIVE_LIMIT):
        workers.hear(tell(f"w{number}", 1, 1))
    assert "frozen" not in workers.live
    assert not workers.hear(tell("frozen", 2, 6))
    assert count(workers) == 5 + LIVE_LIMIT

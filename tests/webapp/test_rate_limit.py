"""The rule of a rate limit, on a clock of the test."""

from hypothesis import given
from hypothesis import strategies as st

from webapp.rate_limit import KEYS_MAX, RateLimit


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_allowed_and_then_one_request_per_interval() -> None:
    clock = Clock()
    limit = RateLimit(2, 3, clock)
    assert [limit.take("a") for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    clock.now += 0.5
    assert [limit.take("a") for _ in range(2)] == [0, 0.5]
    clock.now += 60
    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_keys_have_limits_of_their_own() -> None:
    limit = RateLimit(1, 1, Clock())
    assert [limit.take(key) for key in "aabab"] == [0, 1, 0, 1, 1]


def test_a_rate_of_0_allows_everything() -> None:
    limit = RateLimit(0, 0, Clock())
    assert {limit.take("a") for _ in range(1000)} == {0}


def test_the_number_of_keys_is_bounded_and_the_ones_in_use_are_kept() -> None:
    limit = RateLimit(1, 1, Clock())
    limit.take("in use")
    for number in range(KEYS_MAX + 10):
        limit.take(f"{number}")
        assert limit.take("in use") == 1
    assert limit.take("0") == 0
    assert limit.take(f"{KEYS_MAX}") == 1


@given(
    rate=st.sampled_from([0.5, 1, 8]),
    burst=st.integers(1, 5),
    pauses=st.lists(st.sampled_from([0, 0.125, 0.5, 1, 4]), max_size=60),
)
def test_no_window_has_more_than_the_burst_and_the_rate(rate: float, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    limit = RateLimit(rate, burst, clock)
    allowed: list[float] = []
    for pause in pauses:
        clock.now += pause
        expected = limit.find_wait("a")
        wait = limit.take("a")
        assert wait == expected
        if wait:
            # Waiting for as long as it says is enough.
            clock.now += wait
            assert limit.take("a") == 0
        allowed.append(clock.now)
    for first, start in enumerate(allowed):
        for last, end in enumerate(allowed[first:], 1):
            assert last <= burst + (end - start) * rate

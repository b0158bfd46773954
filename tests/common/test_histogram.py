from decimal import Decimal
from itertools import accumulate

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.histogram import Exemplar, Histogram

BOUNDS = (0.1, 0.5, 1.0, 5.0)


def test_a_value_at_a_bound_falls_into_its_bucket_and_one_above_all_into_the_last() -> None:
    histogram = Histogram.over(BOUNDS)
    for value in (0.1, 0.100001, 5.0, 5.1):
        histogram.observe(value)
    assert histogram.buckets == {"0.1": 1, "0.5": 1, "1.0": 0, "5.0": 1, "+Inf": 1}
    assert histogram.total == Decimal("10.300001")


def test_one_value_is_observed_several_times() -> None:
    once, several = Histogram.over(BOUNDS), Histogram.over(BOUNDS)
    for _ in range(1000):
        once.observe(0.3000001)
    several.observe(0.3000001, times=1000)
    assert several == once


def test_exact_values_are_compared_exactly() -> None:
    histogram = Histogram.over((Decimal(1), Decimal(10)))
    histogram.count([10**32, 10**32 + 1], 31, Decimal(20))
    assert histogram.buckets == {"1.0": 0, "10.0": 1, "+Inf": 1}


def test_bounds_are_compared_with_values_of_fewer_places() -> None:
    histogram = Histogram.over((0.25, 1.5))
    histogram.count([0, 1, 2], 0, Decimal(3))
    histogram.count([2, 3, 15, 16], 1, Decimal("3.6"))
    assert histogram.buckets == {"0.25": 2, "1.5": 3, "+Inf": 2}


def test_counts_of_a_removed_bound_move_to_the_next_one_up_and_new_ones_start_at_zero() -> None:
    histogram = Histogram.over(BOUNDS)
    for value, request_id, at in ((0.05, "a", 1.0), (0.3, "b", 2.0), (0.8, "c", 1.5), (7.0, "d", 1.0)):
        histogram.observe(value, request_id, at)
    histogram.rebound((0.1, 0.2, 1.0, 2.0))
    assert histogram.buckets == {"0.1": 1, "0.2": 0, "1.0": 2, "2.0": 0, "+Inf": 1}
    assert {end: exemplar.request_id for end, exemplar in histogram.exemplars.items()} == {
        "0.1": "a",
        "1.0": "b",
        "+Inf": "d",
    }
    histogram.rebound(())
    assert histogram.buckets == {"+Inf": 4}
    assert histogram.total == Decimal("8.15")


bounds = st.lists(st.floats(0.001, 1e9), unique=True, max_size=20).map(sorted)


@given(bounds, bounds, st.lists(st.floats(0, 1e10), max_size=30))
def test_after_a_change_of_bounds_no_remaining_bucket_is_lower_and_no_count_is_lost(
    old: list[float], new: list[float], values: list[float]
) -> None:
    histogram = Histogram.over(old)
    for value in values:
        histogram.observe(value, "r", value)
    before = dict(zip(histogram.buckets, accumulate(histogram.buckets.values()), strict=True))
    histogram.rebound(new)
    after = dict(zip(histogram.buckets, accumulate(histogram.buckets.values()), strict=True))
    assert {end: after[end] for end in before if end in after} == {end: before[end] for end in before if end in after}
    assert after["+Inf"] == len(values)
    again = msgspec.json.decode(msgspec.json.encode(histogram), type=Histogram)
    assert again == histogram


@pytest.mark.parametrize(
    "text",
    [
        '{"buckets":{}}',
        '{"buckets":{"1.0":1}}',
        '{"buckets":{"1.0":-1,"+Inf":0}}',
        '{"buckets":{"1.0":0.5,"+Inf":0}}',
        '{"buckets":{"5.0":1,"1.0":1,"+Inf":0}}',
        '{"buckets":{"1.0":1,"1":1,"+Inf":0}}',
        '{"buckets":{"+Inf":0,"1.0":1}}',
        '{"buckets":{"nan":1,"+Inf":0}}',
        '{"buckets":{"inf":1,"+Inf":0}}',
        '{"buckets":{"one":1,"+Inf":0}}',
        '{"buckets":{"1.0":1,"+Inf":0},"total":"NaN"}',
        '{"buckets":{"1.0":1,"+Inf":0},"total":"Infinity"}',
        '{"buckets":{"1.0":1,"+Inf":0},"total":"-1"}',
        '{"buckets":{"1.0":1,"+Inf":0},"total":"1e999999"}',
        '{"buckets":{"1.0":1,"+Inf":0},"total":"1e-999999"}',
        '{"buckets":{"1.0":1,"+Inf":0},"exemplars":{"2.0":{"request_id":"a","value":1,"at":1}}}',
        '{"buckets":{"1.0":1,"+Inf":0},"exemplars":{"1.0":{"request_id":"a","value":2,"at":1}}}',
        '{"buckets":{"1.0":1,"+Inf":0},"exemplars":{"1.0":{"request_id":"a","value":-1,"at":1}}}',
        '{"buckets":{"1.0":1,"+Inf":0},"exemplars":{"1.0":{"request_id":"a","value":1e999,"at":1}}}',
        '{"buckets":{"1.0":1,"+Inf":0},"exemplars":{"1.0":{"request_id":"a","value":1,"at":1e300}}}',
        '{"buckets":{"1.0":1,"+Inf":0},"exemplars":{"1.0":{"request_id":"a","value":1,"at":-1}}}',
        '{"buckets":{"1.0":1,"+Inf":0},"exemplars":{"1.0":{"request_id":"' + "a" * 65 + '","value":1,"at":1}}}',
        *(
            '{"buckets":{"1.0":1,"+Inf":0},"exemplars":{"1.0":{"request_id":"' + name + '","value":1,"at":1}}}'
            for name in ("", "a b", r"a\"b", r"a\n", "\u20ac", "a/b")
        ),
    ],
)
def test_a_histogram_that_no_observations_can_make_is_rejected(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Histogram)


@pytest.mark.parametrize(("value", "at"), [(float("nan"), 1.0), (float("inf"), 1.0), (1.0, float("nan"))])
def test_an_exemplar_is_finite(value: float, at: float) -> None:
    with pytest.raises(ValueError, match="exemplar"):
        Exemplar("a", value, at)


@pytest.mark.parametrize("values", [[3], [3, 40, 7], [60_000, 3, 400_000, 70_000, 2_000_000, 5], [250_000, 250_001]])
@pytest.mark.parametrize("named", [0, 1, 2])
def test_values_observed_together_are_those_observed_one_by_one(values: list[int], named: int) -> None:
    together, alone = Histogram.over(BOUNDS), Histogram.over(BOUNDS)
    names = [f"r-{n}" if named and n % named == 0 else "" for n in range(len(values))]
    times = [1e9 + n for n in range(len(values))]
    together.observe_all(values, names, times)
    for value, name, at in zip(values, names, times, strict=True):
        alone.observe(value / 1_000_000, name, at)
    assert together == alone

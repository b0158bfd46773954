"""Functions that make metric families, for the collectors."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, Exemplar, GaugeMetricFamily

from common import histogram as histograms
from common.histogram import Histogram


def count(name: str, text: str, value: float) -> Metric:
    """Make a counter without labels."""
    return CounterMetricFamily(name, text, value=value)


def gauge(name: str, text: str, value: float) -> Metric:
    """Make a gauge without labels."""
    return GaugeMetricFamily(name, text, value=value)


def count_by(name: str, text: str, labels: Sequence[str], values: Mapping[Any, int]) -> Metric:
    """Make a counter with labels; a key of ``values`` holds the label values, separated by spaces."""
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key.split(" "), value)
    return family


def add_histogram(
    family: Any,  # noqa: ANN401 - untyped in the library
    labels: Sequence[str],
    histogram: Histogram,
) -> None:
    """Add one histogram with the exemplars of its buckets, which only OpenMetrics exposes."""
    sums = itertools.accumulate(histogram.buckets.values())
    buckets = [
        (end, sum_, write_exemplar(histogram.exemplars.get(end)))
        for end, sum_ in zip(histogram.buckets, sums, strict=True)
    ]
    family.add_metric(labels, buckets, sum_value=float(histogram.total))


def write_exemplar(exemplar: histograms.Exemplar | None) -> Exemplar | None:
    """Write the exemplar of a bucket, if it has one; only OpenMetrics exposes it."""
    return None if exemplar is None else Exemplar({"request_id": exemplar.request_id}, exemplar.value, exemplar.at)

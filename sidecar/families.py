"""Metric families in one line each, for the collectors."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, Exemplar, GaugeMetricFamily

from tape import facts


def count(name: str, text: str, value: float) -> Metric:
    """Make a counter without labels."""
    return CounterMetricFamily(name, text, value=value)


def gauge(name: str, text: str, value: float) -> Metric:
    """Make a gauge without labels."""
    return GaugeMetricFamily(name, text, value=value)


def count_by(name: str, text: str, labels: Sequence[str], values: Mapping[Any, int]) -> Metric:
    """Make a counter with labels; a key of ``values`` holds its labels' values, parted by spaces."""
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key.split(" "), value)
    return family


def add_histogram(
    family: Any,  # noqa: ANN401 - untyped there
    labels: Sequence[str],
    bounds: Iterable[float | Decimal],
    counts: Sequence[int],
    total: float,
) -> None:
    """Add one histogram to its family."""
    ends = [*(str(float(bound)) for bound in bounds), "+Inf"]
    family.add_metric(labels, list(zip(ends, itertools.accumulate(counts), strict=True)), sum_value=total)


def add_spread(
    family: Any,  # noqa: ANN401 - untyped there
    labels: Sequence[str],
    bounds: Iterable[float],
    spread: facts.Spread,
) -> None:
    """Add one histogram, and the exemplars of its buckets, which only OpenMetrics shows."""
    ends = [*(str(bound) for bound in bounds), "+Inf"]
    buckets = [
        (end, sum_, _write_exemplar(spread.exemplars.get(place)))
        for place, (end, sum_) in enumerate(zip(ends, itertools.accumulate(spread.counts), strict=True))
    ]
    family.add_metric(labels, buckets, sum_value=spread.total / facts.MILLION)


def _write_exemplar(known: facts.Exemplar | None) -> Exemplar | None:
    return None if known is None else Exemplar({"request_id": known.request_id}, known.value, known.at)

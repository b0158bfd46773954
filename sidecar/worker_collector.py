"""Exposes the web workers' totals as metrics, without knowing any of their names (docs/metrics.md)."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from common.wire.worker_totals import MILLION, MetricTotals
from sidecar.families import gauge, write_exemplar
from sidecar.workers import Series, Workers

Declared = tuple[MetricTotals, Series]


def expose_workers(workers: Workers, active: Sequence[str]) -> Iterator[Metric]:
    """Return every metric of the web process; ``active`` names the workers that reported recently."""
    yield gauge("webapp_workers", "Active workers.", len(active))
    sums = sorted(workers.sum_up(active), key=lambda each: (each[0].name, each[0].labels))
    for _, same_name in groupby(sums, key=lambda each: each[0].name):
        first, *others = [_expose(list(same)) for _, same in groupby(same_name, key=lambda each: each[0].labels)]
        for other in others:
            first.samples += other.samples
        yield first


def _expose(declared: list[Declared]) -> Metric:
    """Expose a metric that may have been declared with several sets of buckets."""
    metric, series = declared[-1]
    if metric.type == "histogram":
        return _expose_histogram(declared)
    kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for key, (value,) in series.items():
        family.add_metric(key.split(), value / MILLION)
    return family


def _expose_histogram(declared: list[Declared]) -> Metric:
    metric, series = declared[-1]
    buckets: Sequence[str] = metric.buckets
    if len(declared) > 1:
        buckets, series = _merge(declared)
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    for key, (*counts, total) in series.items():
        exemplars = {bound: each for held, _ in declared for bound, each in held.exemplars.get(key, {}).items()}
        # The library takes None for "no exemplar" without saying so.
        cells: list[Any] = [
            (bound, count / MILLION, write_exemplar(exemplars.get(bound)))
            for bound, count in zip(buckets, counts, strict=True)
        ]
        family.add_metric(key.split(), cells, total / MILLION)
    return family


def _merge(declared: list[Declared]) -> tuple[list[str], Series]:
    """Add up histograms over the buckets of all; one without a bucket counts in it what it has up to the next lower."""
    bounds = dict(sorted({float(text): text for metric, _ in declared for text in metric.buckets}.items()))
    merged: Series = {}
    for metric, series in declared:
        lower = [bisect_right(metric.buckets, bound, key=float) for bound in bounds]
        for key, values in series.items():
            spread = [*(values[count - 1] if count else 0 for count in lower), values[-1]]
            merged[key] = [a + b for a, b in zip(merged.get(key, [0] * len(spread)), spread, strict=True)]
    return list(bounds.values()), merged

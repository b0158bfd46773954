"""Totals: reads a registry of prometheus_client as what a worker reports to the sidecar."""

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.samples import Sample

from common.histogram import Exemplar
from common.wire.worker_totals import EXEMPLARS_MAX, MILLION, MetricTotals, add


def read_totals(registry: CollectorRegistry, known: Mapping[str, Sequence[str]]) -> list[MetricTotals]:
    """Read every metric that has a series, and the newest EXEMPLARS_MAX exemplars of all.

    ``known`` names, for a metric, series that are 0 until they have a value, by their label values.
    """
    metrics = [_read_metric(metric, known.get(metric.name, ())) for metric in registry.collect() if metric.samples]
    held = [
        (exemplar.at, bound, exemplars)
        for totals in metrics
        for exemplars in totals.exemplars.values()
        for bound, exemplar in exemplars.items()
    ]
    for _, bound, exemplars in sorted(held, key=itemgetter(0))[:-EXEMPLARS_MAX]:
        del exemplars[bound]
    return metrics


def _read_metric(metric: Metric, known: Sequence[str]) -> MetricTotals:
    series = list(_split_series(metric))
    totals = MetricTotals(
        name=metric.name,
        type=metric.type,  # type: ignore[arg-type] # in the library it is any text
        help=metric.documentation,
        labels=tuple(series[0][-1].labels),
        buckets=tuple(sample.labels["le"] for sample in series[0][:-1]),
    )
    totals.series = {key: [0] * totals.width for key in known}
    for samples in series:
        key = totals.place(" ".join(samples[-1].labels.values()), totals.series)
        values = [round(sample.value * MILLION) for sample in samples]
        totals.series[key] = add(totals.series[key], values) if key in totals.series else values
        exemplars = {sample.labels["le"]: _read_exemplar(sample) for sample in samples if sample.exemplar}
        if exemplars:
            totals.exemplars.setdefault(key, {}).update(exemplars)
    return totals


def _split_series(metric: Metric) -> Iterator[list[Sample]]:
    """Yield the samples of each series: one, or the buckets of a histogram and then its sum.

    A histogram's count is its last bucket, and times of creation do not add up.
    """
    buckets: list[Sample] = []
    for sample in metric.samples:
        match sample.name.removeprefix(metric.name):
            case "_bucket":
                buckets.append(sample)
            case "" | "_total" | "_sum":
                yield [*buckets, sample]
                buckets = []


def _read_exemplar(sample: Sample) -> Exemplar:
    # Only called for samples that have one.
    labels, value, at = sample.exemplar or ({}, 0.0, 0.0)
    return Exemplar(labels["request_id"], value, float(at or 0))

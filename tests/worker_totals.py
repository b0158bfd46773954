"""Reports of web workers, for tests."""

from collections.abc import Mapping

from common.histogram import Exemplar
from common.wire.worker_totals import MILLION, MetricTotals

SECONDS = ("0.1", "1.0", "+Inf")


def count_requests(series: Mapping[str, int]) -> MetricTotals:
    """Make the requests of a worker, by "method route status"."""
    values = {key: [count * MILLION] for key, count in series.items()}
    return MetricTotals(
        "webapp_http_requests", "counter", "Requests answered.", ("method", "route", "status"), series=values
    )


def count_rejections(series: Mapping[str, int]) -> MetricTotals:
    """Make the rejections of a worker, by reason."""
    values = {key: [count * MILLION] for key, count in series.items()}
    return MetricTotals("webapp_trades_rejected", "counter", "Trades rejected, by reason.", ("reason",), series=values)


def count_seconds(seconds: float) -> MetricTotals:
    """Make the processor time of a worker."""
    values = {"": [round(seconds * MILLION)]}
    return MetricTotals("webapp_process_cpu_seconds", "counter", "Processor time of all workers.", series=values)


def observe(key: str, *seconds: float, buckets: tuple[str, ...] = SECONDS, request_id: str = "") -> MetricTotals:
    """Make durations of one method and route; the last one has the id of its request."""
    counts = [sum(each <= float(bound) for each in seconds) * MILLION for bound in buckets]
    totals = MetricTotals(
        "webapp_http_request_duration_seconds",
        "histogram",
        "From a request's arrival to its answer.",
        ("method", "route"),
        buckets,
        {key: [*counts, round(sum(seconds) * MILLION)]},
    )
    if request_id:
        bound = next(bound for bound in buckets if seconds[-1] <= float(bound))
        totals.exemplars[key] = {bound: Exemplar(request_id, seconds[-1], 5.0)}
    return totals


def gauge(name: str, value: int) -> MetricTotals:
    """Make a gauge without labels."""
    return MetricTotals(name, "gauge", "A gauge.", series={"": [value * MILLION]})

"""The web workers: the newest totals of each, and the sums of the retired ones. A pure function of the reports.

No series falls or disappears, whatever is reported: a metric stays as it was first declared, and one that is declared
otherwise, with other labels or buckets, is added beside it.
"""

from collections.abc import Collection, Iterator
from typing import Final

import msgspec
from msgspec import Struct, field

from common.errors import BadMessageError
from common.histogram import Exemplar
from common.tally import Count
from common.wire.worker_totals import METRICS_MAX, MetricTotals, Values, WorkerTotals, add

ACTIVE_LIMIT: Final = 256
"""Workers whose newest totals are kept apart; past that the one silent longest is retired."""

RETIRED_LIMIT: Final = 512
"""Retired workers whose names are kept, so that their late messages are not counted again."""

CONFIGURED: Final = "_configured"
"""The end of the name of a gauge that shows a setting of the web process."""

Series = dict[str, Values]


class Report(Struct):
    """The newest series of one worker, by the declaration of their metric."""

    number: Count
    series: dict[str, Series]


class Workers(Struct):
    """Running totals: ``retired`` names the workers that are in the series of ``metrics``, which are by declaration.

    ``metrics`` has each series that any worker has reported, with the newest exemplars of all. ``active`` is in the
    order of the last reports. Worker names begin with the time, so an unknown worker that is not newer than
    ``forgotten``, the newest name removed from ``retired``, may have been counted.
    """

    metrics: dict[str, MetricTotals] = field(default_factory=dict)
    active: dict[str, Report] = field(default_factory=dict)
    retired: list[str] = field(default_factory=list)
    forgotten: str = ""

    def update(self, totals: WorkerTotals) -> bool:
        """Replace the totals of a worker; return False when they are not newer.

        Raises BadMessageError when they may have been counted already, since counting too little is better than twice,
        or when they contradict what is known.
        """
        if totals.worker in self.retired:
            return False
        known = self.active.get(totals.worker)
        if known is not None and totals.number <= known.number:
            return False
        if known is None and totals.worker <= self.forgotten:
            raise BadMessageError("forgotten", f"worker {totals.worker} is as old as workers that are forgotten")
        self._check_declarations(totals.metrics)
        series = {} if known is None else self.active.pop(totals.worker).series
        for metric in totals.metrics:
            series[metric.declaration] = self._place(metric, series.get(metric.declaration, {}))
        self.active[totals.worker] = Report(totals.number, series)
        if totals.ended:
            self._retire(totals.worker)
        elif len(self.active) > ACTIVE_LIMIT:
            self._retire(next(iter(self.active)))
        return True

    def _check_declarations(self, metrics: Collection[MetricTotals]) -> None:
        new = [metric for metric in metrics if metric.declaration not in self.metrics]
        if new and len(self.metrics) + len(new) > METRICS_MAX:
            raise BadMessageError("body", f"metric {new[0].name} is one more than {METRICS_MAX}, the limit")
        types = {metric.name: metric.type for metric in (*self.metrics.values(), *metrics)}
        for metric in (*self.metrics.values(), *metrics):
            if metric.type != types[metric.name]:
                raise BadMessageError("body", f"metric {metric.name} is a {metric.type} and a {types[metric.name]}")

    def _place(self, metric: MetricTotals, before: Series) -> Series:
        """Return the series as they are counted here, none of them lower than ``before``, except those of gauges.

        Series are placed by their first report, so no sum falls when workers end in another order than they started.
        """
        known = self.metrics.setdefault(metric.declaration, msgspec.structs.replace(metric, series={}, exemplars={}))
        known.help = metric.help
        placed: Series = {}
        for key, values in metric.series.items():
            place = known.place(key, known.series)
            known.series.setdefault(place, [0] * known.width)
            placed[place] = add(placed[place], values) if place in placed else values
        for key, exemplars in metric.exemplars.items():
            _take_newest(known.exemplars.setdefault(known.place(key, known.series), {}), exemplars)
        if metric.type != "gauge":
            for key, values in before.items():
                placed[key] = list(map(max, values, placed.get(key, values)))
        return placed

    def _retire(self, worker: str) -> None:
        for declaration, series in self.active.pop(worker).series.items():
            metric = self.metrics[declaration]
            if metric.type != "gauge":
                for key, values in series.items():
                    metric.series[key] = add(metric.series[key], values)
        self.retired.append(worker)
        while len(self.retired) > RETIRED_LIMIT:
            self.forgotten = max(self.forgotten, self.retired.pop(0))

    def find_fault(self) -> str | None:
        """Return what no reports can lead to, or None; a file may hold anything."""
        for declaration, metric in self.metrics.items():
            if declaration != metric.declaration:
                return f"metric {metric.declaration[:64]!r} under the name {declaration[:64]!r}"
        for worker, report in self.active.items():
            for declaration, series in report.series.items():
                known = self.metrics.get(declaration)
                if known is None or not series.keys() <= known.series.keys():
                    return f"unknown series of worker {worker[:64]!r}"
                if any(len(values) != known.width for values in series.values()):
                    return f"series of another width of worker {worker[:64]!r}"
        return None

    def sum_up(self, reporting: Collection[str] = ()) -> Iterator[tuple[MetricTotals, Series]]:
        """Yield each metric and its sums over all workers; those of gauges are over the workers in ``reporting``.

        A gauge that ends in ``_configured`` is the same in each worker: of it the highest value is taken.
        """
        for declaration, metric in self.metrics.items():
            sums = dict(metric.series)
            combine = _take_highest if metric.name.endswith(CONFIGURED) else add
            for worker, report in self.active.items():
                if metric.type != "gauge" or worker in reporting:
                    for key, values in report.series.get(declaration, {}).items():
                        sums[key] = combine(sums[key], values)
            yield metric, sums


def _take_highest(a: Values, b: Values) -> Values:
    return list(map(max, a, b))


def _take_newest(held: dict[str, Exemplar], more: dict[str, Exemplar]) -> None:
    for bound, exemplar in more.items():
        known = held.get(bound)
        if known is None or known.at < exemplar.at:
            held[bound] = exemplar

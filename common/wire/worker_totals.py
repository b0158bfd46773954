"""WorkerTotals: the metrics of a web worker since it started, sent repeatedly, so that a lost message costs nothing.

A worker sends running totals, never differences: the newest totals of every worker add up to the totals of all. Each
metric describes itself, so the sidecar adds up and exposes metrics that it has never heard of.
"""

import math
from collections.abc import Collection
from itertools import pairwise
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from common.histogram import BUCKETS_MAX, LAST, Exemplar
from common.tally import COUNT_MAX, Count

MILLION: Final = 1_000_000
"""Values are whole millionths: a sum of floats may fall by one bit when a worker ends, which is a counter reset."""

VALUE_MAX: Final = 10**18
"""The highest value of one worker, in millionths: more than it can reach."""

METRICS_MAX: Final = 100
SERIES_MAX: Final = 500
NUMBERS_MAX: Final = 3000
"""The most metrics, series of one metric, and numbers in all series of one metric, of a worker and of all together."""

REPORT_NUMBERS_MAX: Final = 10_000
EXEMPLARS_MAX: Final = 200
"""The most numbers and exemplars in one message."""

OTHER: Final = "other"
"""Each label value of the series that counts what is past the limit of a metric."""

Name = Annotated[
    str, Meta(pattern=r"^webapp_(?!workers\Z)(?!.*_(bucket|count|created|info|sum|total)\Z)[a-z0-9_]{1,64}\Z")
]
"""Of a family, so without the suffixes of samples; ``webapp_workers`` is the sidecar's own."""

Label = Annotated[str, Meta(pattern=r"^(?!le\Z)[a-z][a-z0-9_]{0,31}\Z")]
Bound = Annotated[str, Meta(pattern=r"^[0-9+eEInf.-]{1,24}\Z")]
Key = Annotated[str, Meta(pattern=r"^([!-~]{1,128}( [!-~]{1,128}){0,7})?\Z")]
"""The label values of a series, separated by spaces: printable ASCII, none empty."""

Values = list[Count]


class MetricTotals(Struct, omit_defaults=True):
    """One metric with its series: one value each, or a histogram's cumulative buckets and then its sum.

    ``buckets`` are a histogram's upper bounds, the text of the label ``le``. Raises ValueError for contradictions.
    """

    name: Name
    type: Literal["counter", "gauge", "histogram"]
    help: Annotated[str, Meta(max_length=200)] = ""
    labels: Annotated[tuple[Label, ...], Meta(max_length=8)] = ()
    buckets: Annotated[tuple[Bound, ...], Meta(max_length=BUCKETS_MAX)] = ()
    series: dict[Key, Values] = field(default_factory=dict)
    exemplars: dict[Key, dict[Bound, Exemplar]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what was read from a file or from the wire."""
        fault = self._find_fault()
        if fault is not None:
            message = f"{self.name}: {fault}"
            raise ValueError(message)

    @property
    def declaration(self) -> str:
        """What makes series comparable: metrics with the same declaration are added up."""
        return " ".join((self.name, self.type, *self.labels, *self.buckets))

    @property
    def width(self) -> int:
        """How many numbers a series has."""
        return len(self.buckets) + 1

    @property
    def series_limit(self) -> int:
        """The most series of this metric; the last one counts the rest."""
        return min(SERIES_MAX, NUMBERS_MAX // self.width)

    def place(self, key: str, known: Collection[str]) -> str:
        """Return the series under which ``key`` is counted: its own, or that of the rest when there are too many."""
        if key in known or len(known) < self.series_limit - 1:
            return key
        return " ".join([OTHER] * len(self.labels))

    def _find_fault(self) -> str | None:
        if len(set(self.labels)) < len(self.labels):
            return "a label appears twice"
        if (self.type == "histogram") != bool(self.buckets) or not _ascend(self.buckets):
            return f"buckets of a {self.type} are {self.buckets}; expected ascending ones up to {LAST} for a histogram"
        faults = (
            *map(self._find_series_fault, self.series.items()),
            *map(self._find_exemplar_fault, self.exemplars.items()),
        )
        return next((fault for fault in faults if fault is not None), None)

    def _find_series_fault(self, series: tuple[str, Values]) -> str | None:
        key, values = series
        if len(key.split()) != len(self.labels) or len(values) != self.width:
            return (
                f"series {key!r} has {len(values)} numbers; expected {self.width}, and {len(self.labels)} label values"
            )
        if self.buckets and any(low > high for low, high in pairwise(values[:-1])):
            return f"cumulative buckets of series {key!r} fall"
        return None

    def _find_exemplar_fault(self, exemplars: tuple[str, dict[str, Exemplar]]) -> str | None:
        key, by_bound = exemplars
        if key not in self.series:
            return f"exemplars of series {key!r}, which it does not have"
        for bound, exemplar in by_bound.items():
            if bound not in self.buckets or exemplar.value > float(bound):
                return f"exemplar of {exemplar.value} in bucket {bound}"
        return None


class WorkerTotals(Struct):
    """The running totals of one worker: ``number`` grows with each report, ``ended`` is set in the last one."""

    worker: Annotated[str, Meta(pattern=r"^[0-9a-f]{12}7[0-9a-f]{19}\Z")]
    number: Count = 0
    ended: bool = False
    metrics: list[MetricTotals] = field(default_factory=list)

    def find_fault(self) -> str | None:
        """Return what no worker can have reported, or None; sums over many workers have no such limits."""
        if len(self.metrics) > METRICS_MAX or len({each.declaration for each in self.metrics}) < len(self.metrics):
            return f"more than {METRICS_MAX} metrics, or one twice"
        if any(len(each.series) > each.series_limit for each in self.metrics):
            return f"more than {SERIES_MAX} series of one metric, or {NUMBERS_MAX} numbers in them"
        values = [value for each in self.metrics for series in each.series.values() for value in series]
        exemplars = sum(len(buckets) for each in self.metrics for buckets in each.exemplars.values())
        if len(values) > REPORT_NUMBERS_MAX or exemplars > EXEMPLARS_MAX:
            return f"more than {REPORT_NUMBERS_MAX} numbers or {EXEMPLARS_MAX} exemplars"
        return f"a value above {VALUE_MAX} millionths" if max(values, default=0) > VALUE_MAX else None


def add(values: Values, more: Values) -> Values:
    """Add up two series of the same declaration."""
    return [min(a + b, COUNT_MAX) for a, b in zip(values, more, strict=True)]


def _ascend(buckets: Collection[str]) -> bool:
    try:
        bounds = [float(bound) for bound in buckets]
    except ValueError:
        return False
    return not bounds or (bounds[0] >= 0 and bounds[-1] == math.inf and all(a < b for a, b in pairwise(bounds)))

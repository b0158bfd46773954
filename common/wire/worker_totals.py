"""WorkerTotals: what a web worker has done since it started, sent repeatedly, so that a lost message costs nothing.

A worker sends running totals, never differences: the newest totals of every worker add up to the totals of all.
"""

from collections.abc import Collection, Iterator
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct, field

from common.histogram import Histogram
from common.tally import COUNT_MAX, Count

DURATION_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds of a request, and of a commit."""

COMMIT_SIZE_BOUNDS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
"""Trades in one commit."""

REQUESTS_MAX: Final = 500
DURATIONS_MAX: Final = 200
REASONS_MAX: Final = 100
"""The most kinds that one worker, or all together, may report: more than exist, and few enough for one message."""

OTHER_REQUEST: Final = "(other) (other) 000"
OTHER_ROUTE: Final = "(other) (other)"
OTHER_REASON: Final = "other"
"""The kind under which further kinds are counted."""

NUMBER_MAX: Final = 10**15
"""The highest number that one worker may report, even of microseconds in 30 years: more than it can reach."""

MILLION: Final = 1_000_000

RequestId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{0,64}\Z")]
Request = Annotated[str, Meta(pattern=r"^[!-~]{1,16} [!-~]{1,128} [0-9]{3}\Z")]
Route = Annotated[str, Meta(pattern=r"^[!-~]{1,16} [!-~]{1,128}\Z")]
Reason = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,64}\Z")]


class Counts(NamedTuple):
    """Counts by kind, the most kinds there may be, and the kind for the rest."""

    by_kind: dict[str, int]
    limit: int
    other: str


class WorkerTotals(Struct):
    """The running totals of one worker: ``number`` grows with each report, ``ended`` is set in the last one.

    ``requests`` are by "method route status", ``durations`` by "method route".
    """

    worker: Annotated[str, Meta(pattern=r"^([0-9a-f]{32})?\Z")] = ""
    number: Count = 0
    ended: bool = False
    requests: dict[Request, Count] = field(default_factory=dict)
    durations: dict[Route, Histogram] = field(default_factory=dict)
    rejected: dict[Reason, Count] = field(default_factory=dict)
    dropped: dict[Reason, Count] = field(default_factory=dict)
    connections_dropped: dict[Reason, Count] = field(default_factory=dict)
    downloads_rejected: dict[Reason, Count] = field(default_factory=dict)
    commits: Histogram = field(default_factory=lambda: Histogram.over(DURATION_BOUNDS))
    groups: Histogram = field(default_factory=lambda: Histogram.over(COMMIT_SIZE_BOUNDS))
    cpu_micros: Count = 0
    resident_bytes: Count = 0
    open_fds: Count = 0
    subscribers: Count = 0
    connections: Count = 0

    def __post_init__(self) -> None:
        """Change to the bounds of this program: a worker or a snapshot of another version may have others."""
        for histogram in (self.commits, *self.durations.values()):
            histogram.rebound(DURATION_BOUNDS)
        self.groups.rebound(COMMIT_SIZE_BOUNDS)

    def counts(self) -> Iterator[Counts]:
        """Yield everything that is counted by kind."""
        yield Counts(self.requests, REQUESTS_MAX, OTHER_REQUEST)
        for reasons in (self.rejected, self.dropped, self.connections_dropped, self.downloads_rejected):
            yield Counts(reasons, REASONS_MAX, OTHER_REASON)

    def find_fault(self) -> str | None:
        """Find what no worker can have reported, if anything; sums over many workers have no such limits."""
        if not self.worker:
            return "no name"
        if len(self.durations) > DURATIONS_MAX or any(len(by_kind) > limit for by_kind, limit, _ in self.counts()):
            return f"more than {DURATIONS_MAX} durations, {REQUESTS_MAX} requests or {REASONS_MAX} reasons"
        histograms = [self.commits, self.groups, *self.durations.values()]
        numbers = [self.number, self.cpu_micros, self.resident_bytes, self.open_fds, self.subscribers, self.connections]
        numbers += [number for each in histograms for number in (*each.buckets.values(), int(each.total))]
        numbers += [count for by_kind, *_ in self.counts() for count in by_kind.values()]
        return f"a number above {NUMBER_MAX}" if max(numbers) > NUMBER_MAX else None

    def fold(self, into: "WorkerTotals") -> None:
        """Map each kind to one that ``into`` has or can add, or to the other kind, and move the exemplars to ``into``.

        Kinds keep their series in the order of their first report, so no sum falls when a worker ends.
        """
        for (mine, _, _), (theirs, limit, other) in zip(self.counts(), into.counts(), strict=True):
            for kind in [kind for kind in mine if kind not in theirs]:
                target = place(kind, theirs, limit, other)
                theirs.setdefault(target, 0)
                if target != kind:
                    mine[target] = mine.get(target, 0) + mine.pop(kind)
        for kind in [kind for kind in self.durations if kind not in into.durations]:
            target = place(kind, into.durations, DURATIONS_MAX, OTHER_ROUTE)
            into.durations.setdefault(target, Histogram.over(DURATION_BOUNDS))
            if target != kind:
                self.durations.setdefault(target, Histogram.over(DURATION_BOUNDS)).add(self.durations.pop(kind))
        for kind, histogram in self.durations.items():
            into.durations[kind].take_exemplars(histogram)
        into.commits.take_exemplars(self.commits)
        into.groups.take_exemplars(self.groups)

    def add(self, other: "WorkerTotals") -> None:
        """Add the totals of another worker; memory, open files and connections are gauges, and left unchanged."""
        for (mine, _, _), (theirs, _, _) in zip(self.counts(), other.counts(), strict=True):
            for kind, count in theirs.items():
                mine[kind] = min(mine.get(kind, 0) + count, COUNT_MAX)
        for kind, histogram in other.durations.items():
            self.durations.setdefault(kind, Histogram.over(DURATION_BOUNDS)).add(histogram)
        self.commits.add(other.commits)
        self.groups.add(other.groups)
        self.cpu_micros = min(self.cpu_micros + other.cpu_micros, COUNT_MAX)


def place(kind: str, known: Collection[str], limit: int, other: str) -> str:
    """Return the kind under which something is counted: its own, or ``other`` when there are too many."""
    return kind if kind in known or len(known) < limit - 1 else other

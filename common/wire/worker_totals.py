"""WorkerTotals: what a web worker has done since it began, told again and again, so that a lost message costs nothing.

A worker sends running totals, never differences. Whoever adds the newest facts of every worker has the totals of all.
"""

from collections.abc import Collection, Iterator
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct, field

from common.histogram import Histogram
from common.tally import COUNT_MAX, Count

DURATION_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds of a request, and of a commit."""

GROUP_BOUNDS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
"""Trades in one commit."""

REQUESTS_MAX: Final = 500
DURATIONS_MAX: Final = 200
REASONS_MAX: Final = 100
"""Kinds that one worker, and all together, may tell apart; more than there are, and few enough for one message."""

OTHER_REQUEST: Final = "(other) (other) 000"
OTHER_ROUTE: Final = "(other) (other)"
OTHER_REASON: Final = "other"
"""What past that is counted under."""

NUMBER_MAX: Final = 10**15
"""The most that one worker may tell of anything, microseconds of 30 years among them: more than it can do."""

MILLION: Final = 1_000_000

RequestId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{0,64}\Z")]
Request = Annotated[str, Meta(pattern=r"^[!-~]{1,16} [!-~]{1,128} [0-9]{3}\Z")]
Route = Annotated[str, Meta(pattern=r"^[!-~]{1,16} [!-~]{1,128}\Z")]
Reason = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,64}\Z")]


class Counts(NamedTuple):
    """Counts by kind, how many kinds there may be, and the kind of all past that."""

    by_kind: dict[str, int]
    limit: int
    other: str


class WorkerTotals(Struct):
    """The running totals of one worker: ``number`` grows with each telling, ``ended`` stands in the last one.

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
    groups: Histogram = field(default_factory=lambda: Histogram.over(GROUP_BOUNDS))
    cpu_micros: Count = 0
    resident_bytes: Count = 0
    open_fds: Count = 0
    subscribers: Count = 0
    connections: Count = 0

    def __post_init__(self) -> None:
        """Go over to the bounds of this program: a worker of another version, or of another time, may have others."""
        for histogram in (self.commits, *self.durations.values()):
            histogram.rebound(DURATION_BOUNDS)
        self.groups.rebound(GROUP_BOUNDS)

    def counts(self) -> Iterator[Counts]:
        """Give everything that is counted by kind."""
        yield Counts(self.requests, REQUESTS_MAX, OTHER_REQUEST)
        for reasons in (self.rejected, self.dropped, self.connections_dropped, self.downloads_rejected):
            yield Counts(reasons, REASONS_MAX, OTHER_REASON)

    def find_fault(self) -> str | None:
        """Tell what no worker could have told of itself, if anything: sums over many workers know no such limits."""
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
        """Give each kind its place in a sum of many, or the place of the other kinds, and move the exemplars there.

        The first to come keep their places, so no sum falls when a worker ends.
        """
        for (mine, _, _), (theirs, limit, other) in zip(self.counts(), into.counts(), strict=True):
            for kind in [kind for kind in mine if kind not in theirs]:
                placed = place(kind, theirs, limit, other)
                theirs.setdefault(placed, 0)
                if placed != kind:
                    mine[placed] = mine.get(placed, 0) + mine.pop(kind)
        for kind in [kind for kind in self.durations if kind not in into.durations]:
            placed = place(kind, into.durations, DURATIONS_MAX, OTHER_ROUTE)
            into.durations.setdefault(placed, Histogram.over(DURATION_BOUNDS))
            if placed != kind:
                self.durations.setdefault(placed, Histogram.over(DURATION_BOUNDS)).add(self.durations.pop(kind))
        for kind, histogram in self.durations.items():
            into.durations[kind].take_exemplars(histogram)
        into.commits.take_exemplars(self.commits)
        into.groups.take_exemplars(self.groups)

    def add(self, other: "WorkerTotals") -> None:
        """Add the totals of another worker; memory, open files and connections are of living ones, and left alone."""
        for (mine, _, _), (theirs, _, _) in zip(self.counts(), other.counts(), strict=True):
            for kind, count in theirs.items():
                mine[kind] = min(mine.get(kind, 0) + count, COUNT_MAX)
        for kind, histogram in other.durations.items():
            self.durations.setdefault(kind, Histogram.over(DURATION_BOUNDS)).add(histogram)
        self.commits.add(other.commits)
        self.groups.add(other.groups)
        self.cpu_micros = min(self.cpu_micros + other.cpu_micros, COUNT_MAX)


def place(kind: str, known: Collection[str], limit: int, other: str) -> str:
    """Tell under which kind something is counted: its own, or the other one when there are too many."""
    return kind if kind in known or len(known) < limit - 1 else other

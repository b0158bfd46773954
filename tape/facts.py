"""Facts: what a web worker has done since it began, told again and again, so that a lost message costs nothing.

A worker sends running totals, never differences. Whoever adds the newest facts of every worker has the totals of all.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct, field

from tape.histogram import Histogram
from tape.tally import Count

DURATION_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds of a request, and of a commit."""

GROUP_BOUNDS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
"""Trades in one commit."""

KINDS_MAX: Final = 1000
NUMBER_MAX: Final = 2**53
"""The most that one worker may tell of anything: more than it can do, and few enough to add up those of many."""

MILLION: Final = 1_000_000

RequestId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{0,64}\Z")]
Request = Annotated[str, Meta(pattern=r"^\S{1,16} \S{1,256} [0-9]{3}\Z")]
Route = Annotated[str, Meta(pattern=r"^\S{1,16} \S{1,256}\Z")]
Reason = Annotated[str, Meta(pattern=r"^\S{1,64}\Z")]


class Facts(Struct):
    """The running totals of one worker: ``number`` grows with each telling, ``ended`` stands in the last one.

    ``requests`` are by "method route status", ``durations`` by "method route".
    """

    worker: Annotated[str, Meta(max_length=64)] = ""
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
    viewers: Count = 0
    connections: Count = 0

    def __post_init__(self) -> None:
        """Go over to the bounds of this program: a worker of another version, or of another time, may have others."""
        for histogram in (self.commits, *self.durations.values()):
            histogram.rebound(DURATION_BOUNDS)
        self.groups.rebound(GROUP_BOUNDS)

    def find_fault(self) -> str | None:
        """Tell what no worker could have told of itself, if anything: sums over many workers know no such limits."""
        reasons = (self.rejected, self.dropped, self.connections_dropped, self.downloads_rejected)
        counted = (self.requests, self.durations, *reasons)
        if any(len(kinds) > KINDS_MAX for kinds in counted):
            return f"more than {KINDS_MAX} kinds"
        histograms = [self.commits, self.groups, *self.durations.values()]
        numbers = [self.number, self.cpu_micros, self.resident_bytes, self.open_fds, self.viewers]
        numbers.append(self.connections)
        numbers += [number for each in histograms for number in (*each.buckets.values(), int(each.total))]
        numbers += [count for kinds in (self.requests, *reasons) for count in kinds.values()]
        return f"a number above {NUMBER_MAX}" if max(numbers) > NUMBER_MAX else None

    def add(self, other: "Facts") -> None:
        """Add the totals of another worker; memory, open files and connections are of living ones, and left alone."""
        for mine, theirs in (
            (self.requests, other.requests),
            (self.rejected, other.rejected),
            (self.dropped, other.dropped),
            (self.connections_dropped, other.connections_dropped),
            (self.downloads_rejected, other.downloads_rejected),
        ):
            for kind, count in theirs.items():
                mine[kind] = mine.get(kind, 0) + count
        for kind, histogram in other.durations.items():
            self.durations.setdefault(kind, Histogram.over(DURATION_BOUNDS)).add(histogram)
        self.commits.add(other.commits)
        self.groups.add(other.groups)
        self.cpu_micros += other.cpu_micros

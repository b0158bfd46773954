"""Facts: what a web worker has done since it began, told again and again, so that a lost message costs nothing.

A worker sends running totals, never differences. Whoever adds the newest facts of every worker has the totals of all.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Annotated, Final, Self

from msgspec import Meta, Struct, field

DURATION_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds of a request, and of a commit."""

GROUP_BOUNDS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
"""Trades in one commit."""

KINDS_MAX: Final = 1000
NUMBER_MAX: Final = 2**62
"""The most that one worker may tell of anything: more than it can do."""

MILLION: Final = 1_000_000

Count = Annotated[int, Meta(ge=0)]
Request = Annotated[str, Meta(pattern=r"^\S{1,16} \S{1,256} [0-9]{3}\Z")]
Route = Annotated[str, Meta(pattern=r"^\S{1,16} \S{1,256}\Z")]
Reason = Annotated[str, Meta(pattern=r"^\S{1,64}\Z")]


class Exemplar(Struct, frozen=True):
    """One observation, by the id of its request; ``at`` is in seconds since 1970."""

    request_id: Annotated[str, Meta(max_length=64)]
    value: float
    at: float


class Spread(Struct):
    """Observations by bucket, with one place more than there are bounds, their sum, and the newest of each bucket.

    The sum is in millionths: whole numbers have the same sum in any order, and one that fell by a bit would be a reset.
    """

    counts: list[Count]
    total: Count = 0
    exemplars: dict[int, Exemplar] = field(default_factory=dict)

    @classmethod
    def over(cls, bounds: Sequence[float]) -> Self:
        """Make an empty one."""
        return cls([0] * (len(bounds) + 1))

    def observe(self, bounds: Sequence[float], value: float, request_id: str = "", at: float = 0.0) -> None:
        """Count one observation, and keep it as an exemplar when it has a request's id."""
        place = bisect_left(bounds, value)
        self.counts[place] += 1
        self.total += round(value * MILLION)
        if request_id:
            self.exemplars[place] = Exemplar(request_id, value, at)

    def add(self, other: "Spread") -> None:
        """Add the observations of another one over the same bounds."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.total += other.total
        for place, exemplar in other.exemplars.items():
            known = self.exemplars.get(place)
            if known is None or known.at < exemplar.at:
                self.exemplars[place] = exemplar


class Facts(Struct):
    """The running totals of one worker: ``number`` grows with each telling, ``ended`` stands in the last one.

    ``requests`` are by "method route status", ``durations`` by "method route".
    """

    worker: Annotated[str, Meta(max_length=64)] = ""
    number: Count = 0
    ended: bool = False
    requests: dict[Request, Count] = field(default_factory=dict)
    durations: dict[Route, Spread] = field(default_factory=dict)
    rejected: dict[Reason, Count] = field(default_factory=dict)
    dropped: dict[Reason, Count] = field(default_factory=dict)
    connections_dropped: dict[Reason, Count] = field(default_factory=dict)
    commits: Spread = field(default_factory=lambda: Spread.over(DURATION_BOUNDS))
    groups: Spread = field(default_factory=lambda: Spread.over(GROUP_BOUNDS))
    cpu_micros: Count = 0
    resident_bytes: Count = 0
    open_fds: Count = 0
    viewers: Count = 0
    connections: Count = 0

    def find_fault(self) -> str | None:
        """Tell what no worker could have told of itself, if anything: sums over many workers know no such limits."""
        reasons = (self.rejected, self.dropped, self.connections_dropped)
        counted = (self.requests, self.durations, *reasons)
        by_seconds = [self.commits, *self.durations.values()]
        if any(len(kinds) > KINDS_MAX for kinds in counted):
            return f"more than {KINDS_MAX} kinds"
        if len(self.groups.counts) != len(GROUP_BOUNDS) + 1 or any(
            len(spread.counts) != len(DURATION_BOUNDS) + 1 for spread in by_seconds
        ):
            return "a spread has more or fewer places than its bounds"
        spreads = [self.groups, *by_seconds]
        numbers = [self.number, self.cpu_micros, self.resident_bytes, self.open_fds, self.viewers]
        numbers.append(self.connections)
        numbers += [number for spread in spreads for number in (*spread.counts, spread.total)]
        numbers += [count for kinds in (self.requests, *reasons) for count in kinds.values()]
        return f"a number above {NUMBER_MAX}" if max(numbers) > NUMBER_MAX else None

    def add(self, other: "Facts") -> None:
        """Add the totals of another worker; memory, open files and connections are of living ones, and left alone."""
        for mine, theirs in (
            (self.requests, other.requests),
            (self.rejected, other.rejected),
            (self.dropped, other.dropped),
            (self.connections_dropped, other.connections_dropped),
        ):
            for kind, count in theirs.items():
                mine[kind] = mine.get(kind, 0) + count
        for kind, spread in other.durations.items():
            self.durations.setdefault(kind, Spread.over(DURATION_BOUNDS)).add(spread)
        self.commits.add(other.commits)
        self.groups.add(other.groups)
        self.cpu_micros += other.cpu_micros

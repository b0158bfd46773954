"""The goals: which figure of which measurement, the bound, and the peer that it is compared with."""

from statistics import median
from typing import Final, NamedTuple

from bench.measure import BEFORE, OURS
from bench.measures.count import CLIENT, STATSD, name_socket, name_step
from bench.measures.feed import WITHOUT
from bench.measures.post import BARE, DURABLE, FASTAPI
from bench.measures.scrape import SERIES, name_scrape
from bench.runner import Results

# A rate of a measurement has a goal too: at a lower one its other figures would be of something easier.

FLAT: Final = 5
"""Percent of growth that are none: what the allocators keep differs from run to run by some."""


class Goal(NamedTuple):
    """One row: ``bound`` is of the figure, or with a peer of the ratio to it; without a bound it is for information.

    ``least`` is a goal that is reached from the bound on. With ``inverse`` the ratio is how many times the peer's
    figure is ours.
    """

    label: str
    measure: str
    figure: str
    bound: float | None = None
    peer: str | None = None
    peer_figure: str | None = None
    least: bool = False
    inverse: bool = False


class Row(NamedTuple):
    """A goal with what was found: each value is a figure by round, ``reason`` why there is none."""

    goal: Goal
    ours: list[float]
    peer: list[float]
    before: list[float]
    ratios: list[float]
    reason: str | None
    peer_reason: str | None

    @property
    def judged(self) -> float | None:
        """What the bound is compared with."""
        found = self.ratios if self.goal.peer else self.ours
        return median(found) if found else None

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without a bound or a figure."""
        if self.judged is None or self.goal.bound is None:
            return None
        return self.judged >= self.goal.bound if self.goal.least else self.judged <= self.goal.bound


GOALS: Final[tuple[Goal, ...]] = (
    Goal("`POST /trade`", "post", "CPU, µs", 1.8, BARE),
    Goal("`POST /trade`", "post", "CPU, µs", 1.4, DURABLE),
    Goal("`POST /trade`", "post", "CPU, µs", None, FASTAPI),
    Goal("`POST /trade`", "post", "p99, ms", 1.0, BARE),
    Goal("`POST /trade`", "post", "p99, ms", 1.0, DURABLE),
    Goal("`POST /trade`", "post", "requests/s", None, DURABLE),
    Goal("the desk's form, `POST /trade`", "form", "CPU, µs", None, BARE),
    Goal("a batch of 1,000, a trade", "batch", "web CPU, µs", 10),
    Goal("a batch of 1,000, a trade", "batch", "sidecar CPU, µs", 4),
    Goal("batches of 1,000", "batch", "counted/s", 60_000, least=True),
    Goal("batches of 1,000", "batch", "accepted/s"),
    *(
        Goal("counting", "count", name_step(size), bound, CLIENT, least=True, inverse=True)
        for size, bound in ((1, 2.5), (100, 5))
    ),
    *(
        Goal("counting", "count", figure, bound, STATSD, name_socket(1))
        for figure_of in (name_step, name_socket)
        for size, bound in ((1, 0.9), (100, 0.45))
        for figure in (figure_of(size),)
    ),
    Goal("counting", "count", name_socket(100), None, STATSD),
    Goal("5 million trades", "restart", "replay, trades/s", 800_000, least=True),
    Goal("5 million trades, by snapshot", "restart", "ready, s", 0.5),
    Goal("accepted to counted at 1,000/s", "delay", "median, ms", 1),
    Goal("accepted to counted at 1,000/s", "delay", "p99, ms", 10),
    Goal("accepted to counted at 1,000/s", "delay", "trades/s", 950, least=True),
    *(
        Goal("a scrape", "scrape", name_scrape(series), 0.5 if series == SERIES[-1] else None, CLIENT)
        for series in SERIES
    ),
    Goal("1,000 viewers at 300 trades/s", "feed", "delivery p95, ms", 300),
    Goal("1,000 viewers at 300 trades/s", "feed", "missed", 0),
    Goal("1,000 viewers at 300 trades/s", "feed", "trades/s", 285, least=True),
    Goal("1,000 viewers at 300 trades/s", "feed", "p99 of `POST /trade`, ms", 2, WITHOUT),
    Goal("1,000 symbols", "memory", "worker, MB", 60),
    Goal("1,000 symbols", "memory", "sidecar, MB", 60),
    Goal("the last 80 % of the trades", "memory", "worker growth, %", FLAT),
    Goal("the last 80 % of the trades", "memory", "sidecar growth, %", FLAT),
    Goal("the whole journal", "memory", "journal, bytes a trade", 150),
)
"""In the order of the table."""


def judge(goal: Goal, results: Results) -> Row:
    """Compare a goal with what was found, round by round: a disturbance of the machine affects both sides."""
    ours = results.get(goal.measure, OURS, goal.figure)
    peer = results.get(goal.measure, goal.peer, goal.peer_figure or goal.figure) if goal.peer else []
    # A peer's rounds are as many as ours, but for a subject that was stopped; such one has none.
    ratios = [theirs / mine if goal.inverse else mine / theirs for mine, theirs in zip(ours, peer, strict=False)]
    return Row(
        goal,
        ours,
        peer,
        results.get(goal.measure, BEFORE, goal.figure),
        ratios,
        results.find_reason(goal.measure, OURS),
        results.find_reason(goal.measure, goal.peer) if goal.peer else None,
    )

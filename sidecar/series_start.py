"""The starts of series: a new counter is first exposed at 0, so that ``increase()`` sees its first trade.

``increase()`` sees only what changed between two samples, so a counter first scraped at 1 seems never to have grown.
In OpenMetrics, which Prometheus asks for, a new counter is therefore 0 for its first ZERO_SECONDS. No sample carries a
time, and the time that passes is the sidecar's own, so no clock has to agree with another.
"""

import time
from collections.abc import Callable
from typing import Final

from sidecar.state import State

ZERO_SECONDS: Final = 3.0
"""Some scrapes at the interval of infra/prometheus/prometheus.yml, so that one of them stores the zero."""

CREATED_SECONDS: Final = 300.0
"""How long OpenMetrics also says when the counters of a symbol were created."""


class SeriesStarts:
    """When series began, by label and value; a new one knows none, so nothing is new."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with none."""
        self._clock = clock
        self._started: dict[tuple[str, str], float] = {}

    def settle(self, state: State) -> None:
        """Note that the series of a state may have been scraped with their values, before a restart."""
        self._started = dict.fromkeys(state.list_series(), float("-inf"))

    def note(self, state: State) -> None:
        """Note the series that a state has begun since the last time."""
        if state.count_series() != len(self._started):
            now = self._clock()
            for series in state.list_series():
                self._started.setdefault(series, now)

    def is_new(self, label: str, value: str) -> bool:
        """Return whether the series with this label are exposed at 0."""
        return self._age(label, value) < ZERO_SECONDS

    def is_young(self, label: str, value: str) -> bool:
        """Return whether the series with this label say when they were created."""
        return self._age(label, value) < CREATED_SECONDS

    def _age(self, label: str, value: str) -> float:
        return self._clock() - self._started.get((label, value), float("-inf"))

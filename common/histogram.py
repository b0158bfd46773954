"""A histogram that carries its bounds, so that one saved with other bounds can still be read."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Annotated, Final, NamedTuple, Self

from msgspec import Meta, Struct, field

from common.tally import COUNT_MAX, EXACT, Count, check_sum

MICRO: Final = Decimal("0.000001")
"""What measured values are rounded to before they are added up."""

LAST: Final = "+Inf"
BUCKETS_MAX: Final = 100
YEAR_10000: Final = 253_402_300_800
"""In seconds since 1970."""


class _Ends(NamedTuple):
    keys: tuple[str, ...]
    floats: tuple[float, ...]
    wholes: dict[int, list[int]]

    def scale(self, places: int) -> list[int]:
        """Return the bounds in the unit of ``places``: no whole number is between one and what is left of it here."""
        return self.wholes.setdefault(
            places, [math.floor(Decimal(key).scaleb(places, EXACT)) for key in self.keys[:-1]]
        )


class Exemplar(Struct, frozen=True):
    """One observation, by the id of its request; ``at`` is in seconds since 1970.

    Raises ValueError for a value or a time that no observation can have.
    """

    request_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]
    value: float
    at: float

    def __post_init__(self) -> None:
        """Check what was read from a file or from the wire."""
        if not (math.isfinite(self.value) and self.value >= 0 and 0 <= self.at < YEAR_10000):
            message = f"exemplar of {self.value} at {self.at}; expected a value from 0 and a time before the year 10000"
            raise ValueError(message)


class Histogram(Struct, dict=True):
    """Observations by bucket, keyed by its upper bound as in the exposition, and the newest of each bucket.

    The sum ``total`` is exact: it is the same in any order. A float sum can fall by a bit, which Prometheus takes for a
    counter reset. Raises ValueError for bounds out of order, and for sums and exemplars that no observations can have.
    """

    buckets: Annotated[dict[str, Count], Meta(min_length=1, max_length=BUCKETS_MAX)]
    total: Decimal = Decimal(0)
    exemplars: dict[str, Exemplar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what was read from a file or from the wire."""
        _check_keys(tuple(self.buckets))
        check_sum("total", self.total)
        for key, exemplar in self.exemplars.items():
            if key not in self.buckets or exemplar.value > float(key):
                message = f"exemplar of {exemplar.value} in bucket {key[:32]!r}"
                raise ValueError(message)

    @cached_property
    def _ends(self) -> _Ends:
        return _read_ends(tuple(self.buckets))

    @classmethod
    def over(cls, bounds: Sequence[float | Decimal]) -> Self:
        """Make an empty histogram with these upper bounds, and +Inf."""
        return cls(dict.fromkeys(_write_keys(tuple(bounds)), 0))

    def observe(self, value: float, request_id: str = "", at: float = 0.0, times: int = 1) -> None:
        """Count one measured value, ``times`` times, and keep it as an exemplar when it has a request id."""
        keys, bounds, _ = self._ends
        key = keys[bisect_left(bounds, value)]
        self.buckets[key] += times
        self.total = EXACT.fma(round(value * 1_000_000) * times, MICRO, self.total)
        if request_id:
            self.exemplars[key] = Exemplar(request_id, value, at)

    def observe_all(self, values: Sequence[int], request_ids: Sequence[str], times: Sequence[float]) -> None:
        """Count measured values in millionths, at least one, as ``observe`` does each, with request id and time."""
        keys, bounds, _ = self._ends
        low, high = (bisect_left(bounds, value / 1_000_000) for value in (min(values), max(values)))
        if low == high:
            # Most often all are in one bucket.
            self.buckets[keys[low]] += len(values)
            last = next((n for n in range(len(values) - 1, -1, -1) if request_ids[n]), None)
            newest = {} if last is None else {low: last}
        else:
            places = [bisect_left(bounds, each / 1_000_000) for each in values]
            for place, count in Counter(places).items():
                self.buckets[keys[place]] += count
            newest = {place: n for n, (place, name) in enumerate(zip(places, request_ids, strict=True)) if name}
        self.total = EXACT.fma(sum(values), MICRO, self.total)
        for place, n in newest.items():
            self.exemplars[keys[place]] = Exemplar(request_ids[n], values[n] / 1_000_000, times[n])

    def count(self, values: Sequence[int], places: int, total: Decimal) -> None:
        """Count whole numbers of the unit that has so many places; they add up to ``total``.

        In a context that rounds no sum.
        """
        ends, buckets = self._ends, self.buckets
        keys, bounds = ends.keys, ends.wholes.get(places) or ends.scale(places)
        for value in values:
            buckets[keys[bisect_left(bounds, value)]] += 1
        self.total += total

    def add(self, other: "Histogram") -> None:
        """Add the observations of another histogram over the same bounds."""
        for key, count in other.buckets.items():
            self.buckets[key] = min(self.buckets[key] + count, COUNT_MAX)
        self.total = EXACT.add(self.total, other.total)
        self._take_exemplars(other.exemplars.items())

    def rebound(self, bounds: Sequence[float | Decimal]) -> None:
        """Change to other bounds: counts of a removed bound move to the next one up, new bounds start at 0."""
        keys = _write_keys(tuple(bounds))
        if keys == tuple(self.buckets):
            return
        held, exemplars = self.buckets, self.exemplars
        self.buckets, self.exemplars = dict.fromkeys(keys, 0), {}
        # The cached ends are those of the old bounds.
        self.__dict__.pop("_ends", None)
        _, bounds, _ = self._ends
        moved = {key: keys[bisect_left(bounds, float(key))] for key in held}
        for key, count in held.items():
            self.buckets[moved[key]] += count
        self._take_exemplars([(moved[key], exemplar) for key, exemplar in exemplars.items()])

    def _take_exemplars(self, exemplars: Iterable[tuple[str, Exemplar]]) -> None:
        for key, exemplar in exemplars:
            known = self.exemplars.get(key)
            if known is None or known.at < exemplar.at:
                self.exemplars[key] = exemplar


@lru_cache(maxsize=64)
def _write_keys(bounds: tuple[float | Decimal, ...]) -> tuple[str, ...]:
    return (*(str(float(bound)) for bound in bounds), LAST)


@lru_cache(maxsize=64)
def _read_ends(keys: tuple[str, ...]) -> _Ends:
    return _Ends(keys, tuple(map(float, keys[:-1])), {})


@lru_cache(maxsize=64)
def _check_keys(keys: tuple[str, ...]) -> None:
    bounds = [float(key) for key in keys[:-1]]
    ascending = all(low < high for low, high in pairwise(bounds))
    if keys != _write_keys(tuple(bounds)) or not ascending or not all(map(math.isfinite, bounds)):
        message = f"buckets {[key[:32] for key in keys]}; expected upper bounds in ascending order, {LAST} last"
        raise ValueError(message)

"""What has been counted: a pure fold over events. No clock, no socket and no file is known here."""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, Literal

from msgspec import Struct, field

from tape.event import SIDES, Event, Instant, Side
from tape.tally import Tally
from tape.wire import BAD_MESSAGE_REASONS

OTHER: Final = "other"
"""The symbol of the trades past the limit; in lower case, so no trade can bear it itself."""

NOTIONAL_BOUNDS: Final = (*(factor * 10.0**power for power in range(7) for factor in (1, 3)), 1e7)
DELAY_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Source = Literal["live", "journal"]
SOURCES: Final[tuple[Source, ...]] = ("live", "journal")


class Histogram(Struct):
    """Observations by bucket; ``counts`` has one place more than ``bounds``, for what is above them all."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        """Start every bucket at zero."""
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Symbol(Struct):
    """What has been counted of one symbol; ``last_price`` and ``last_ts`` as they stand in its newest event."""

    tallies: dict[Side, Tally] = field(default_factory=lambda: {side: Tally() for side in SIDES})
    last_price: str | None = None
    last_ts: Instant | None = None


class Observed(Struct):
    """What only the sidecar itself can know, and no journal can tell again; lost with it but for the last snapshot."""

    delay: Histogram = field(default_factory=lambda: Histogram(DELAY_BOUNDS))
    events: dict[Source, int] = field(default_factory=lambda: dict.fromkeys(SOURCES, 0))
    repeats: int = 0
    gaps: int = 0
    rejected: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BAD_MESSAGE_REASONS, 0))


class State(Struct):
    """Everything the sidecar counts, up to and with ``last_seq`` of the journal named ``origin``."""

    origin: str
    last_seq: int = 0
    symbols: dict[str, Symbol] = field(default_factory=dict)
    folded: int = 0
    notional: dict[Side, Histogram] = field(
        default_factory=lambda: {side: Histogram(NOTIONAL_BOUNDS) for side in SIDES}
    )
    observed: Observed = field(default_factory=Observed)

    def register(self, symbols: Iterable[str]) -> None:
        """Give symbols their own series before their first trade."""
        for symbol in symbols:
            self.symbols.setdefault(symbol, Symbol())

    def apply(self, events: Sequence[Event], source: Source, limit: int, counted_at: float = math.nan) -> None:
        """Count events past ``last_seq``, in ``seq`` order; symbols past ``limit`` fold into OTHER.

        ``counted_at``, in seconds since 1970, is when live events were received.
        """
        for event in events:
            symbol = self.symbols.get(event.symbol) or self._place(event.symbol, limit)
            notional = symbol.tallies[event.side].add(event.price, event.qty)
            symbol.last_price = event.price
            symbol.last_ts = event.ts
            self.notional[event.side].observe(float(notional))
            self.last_seq = event.seq
            if source == "live":
                self.observed.delay.observe(max(0.0, counted_at - read_seconds(event.accepted_at)))
        self.observed.events[source] += len(events)

    def _place(self, name: str, limit: int) -> Symbol:
        if len(self.symbols) - (OTHER in self.symbols) >= limit:
            self.folded += 1
            name = OTHER
        return self.symbols.setdefault(name, Symbol())


def read_seconds(instant: Instant) -> float:
    """Read a canonical instant as seconds since 1970."""
    return datetime.fromisoformat(instant).timestamp()

"""The collector: reads the state once at each scrape and writes it as metrics (docs/metrics.md)."""

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from sidecar.state import DELAY_BOUNDS, NOTIONAL_BOUNDS, OTHER, Observed, State, read_seconds
from tape import __version__
from tape.errors import JournalError


@dataclass
class SnapshotRecord:
    """When the last snapshot was saved, in seconds since 1970 (0: never), and what it and the one before both hold.

    ``observed`` is shown in place of the state's own: whatever is killed and whichever of the two is damaged, no
    counter may be less than was shown before it. Up to ``safe_seq`` the journal is not needed to count again.
    """

    saved_at: float = 0.0
    failures: int = 0
    safe_seq: int = 0
    observed: Observed = field(default_factory=Observed)


class StateCollector(Collector):
    """Exposes one state, consistent within each scrape."""

    def __init__(
        self,
        read_state: Callable[[], State],
        lock: threading.Lock,
        snapshots: SnapshotRecord,
        read_last_seq: Callable[[], int],
    ) -> None:
        """Keep what to read; ``read_state`` is called under ``lock``, ``read_last_seq`` may raise JournalError."""
        self._read_state = read_state
        self._lock = lock
        self._snapshots = snapshots
        self._read_last_seq = read_last_seq

    def collect(self) -> Iterator[Metric]:
        """Give every metric of the sidecar."""
        try:
            journal_seq = self._read_last_seq()
        except JournalError:
            journal_seq = None
        with self._lock:
            state = self._read_state()
            families = [*_expose_trades(state), *_expose_progress(state)]
            last_seq = state.last_seq
        yield from families
        yield from _expose_observed(self._snapshots.observed)
        # Without the journal its end is unknown, and a made-up lag would hide that.
        if journal_seq is not None:
            yield _gauge("sidecar_journal_last_seq", "Newest seq in the journal.", journal_seq)
            yield _gauge(
                "sidecar_lag_events", "Seqs given by the journal and not counted yet.", max(0, journal_seq - last_seq)
            )
        yield _gauge(
            "sidecar_snapshot_timestamp_seconds", "When the state was last saved; 0: never.", self._snapshots.saved_at
        )
        yield _counter("sidecar_snapshot_failures", "Snapshots that could not be saved.", self._snapshots.failures)
        build = GaugeMetricFamily("sidecar_build_info", "Which version runs; always 1.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build


def _expose_trades(state: State) -> Iterator[Metric]:
    by_side = ["symbol", "side"]
    trades = CounterMetricFamily("trading_trades", "Accepted trades.", labels=by_side)
    quantity = CounterMetricFamily("trading_quantity", "Quantity traded, in units of the symbol.", labels=by_side)
    notional = CounterMetricFamily("trading_notional", "Price times quantity.", labels=by_side)
    price = GaugeMetricFamily("trading_last_price", "Price of the newest trade.", labels=["symbol"])
    moment = GaugeMetricFamily(
        "trading_last_trade_timestamp_seconds", "When the newest trade happened.", labels=["symbol"]
    )
    for name, symbol in state.symbols.items():
        for side, tally in symbol.tallies.items():
            trades.add_metric([name, side], tally.trades)
            quantity.add_metric([name, side], float(tally.quantity))
            notional.add_metric([name, side], float(tally.notional))
        # A price of many symbols together would mean nothing.
        if symbol.last_price is not None and name != OTHER:
            price.add_metric([name], float(symbol.last_price))
        if symbol.last_ts is not None:
            moment.add_metric([name], read_seconds(symbol.last_ts))
    sizes = HistogramMetricFamily("trading_trade_notional", "Notional of each trade.", labels=["side"])
    for side, counts in state.notional.items():
        total = sum(symbol.tallies[side].notional for symbol in state.symbols.values())
        _add_histogram(sizes, [side], NOTIONAL_BOUNDS, counts, float(total))
    yield from (trades, quantity, notional, price, moment, sizes)


def _expose_progress(state: State) -> Iterator[Metric]:
    yield _gauge("sidecar_last_seq", "Newest seq counted.", state.last_seq)
    yield _gauge("sidecar_symbols", "Symbols with their own series.", len(state.symbols) - (OTHER in state.symbols))
    yield _counter("sidecar_symbols_folded", "Trades counted under the symbol other.", state.folded)


def _expose_observed(observed: Observed) -> Iterator[Metric]:
    delay = HistogramMetricFamily(
        "trading_event_delay_seconds", "From acceptance to counting, live events only.", labels=[]
    )
    _add_histogram(delay, [], DELAY_BOUNDS, observed.delay, observed.delay_seconds)
    events = CounterMetricFamily("sidecar_events", "Events counted, by where they came from.", labels=["source"])
    for source, count in observed.events.items():
        events.add_metric([source], count)
    rejected = CounterMetricFamily("sidecar_rejected", "Messages that could not be used.", labels=["reason"])
    for reason, count in observed.rejected.items():
        rejected.add_metric([reason], count)
    yield from (delay, events, rejected)
    yield _counter("sidecar_repeats", "Events received again and dropped.", observed.repeats)
    yield _counter("sidecar_gaps", "Gaps in the hints, filled from the journal.", observed.gaps)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _add_histogram(
    family: Any,  # noqa: ANN401 - untyped there
    labels: list[str],
    bounds: Iterable[float | Decimal],
    counts: list[int],
    total: float,
) -> None:
    ends = [*(str(float(bound)) for bound in bounds), "+Inf"]
    buckets = list(zip(ends, itertools.accumulate(counts), strict=True))
    family.add_metric(labels, buckets, sum_value=total)

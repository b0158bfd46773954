"""The collector: reads the state once per scrape and exposes it as metrics (docs/metrics.md)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, GCCollector, Metric, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from common import __version__
from common.errors import JournalError
from common.journal.disk import DiskUsage
from common.journal.hub import Host
from common.replica import ReplicaTimes
from common.serving.rejections import Rejections
from common.tally import Tally
from common.wire.messages import BAD_MESSAGE_REASONS
from sidecar.counters import Counters
from sidecar.families import add_histogram, count, count_by, gauge
from sidecar.hosts import expose_hosts
from sidecar.position_collector import expose_positions
from sidecar.series_start import SeriesStarts
from sidecar.snapshot import Snapshots
from sidecar.sources import Sources
from sidecar.state import OTHER, Observed, State, make_histograms, read_seconds
from sidecar.worker_collector import expose_workers


@dataclass(frozen=True)
class Sight:
    """What a collector reads; ``read_journal`` and ``read_hosts`` may raise JournalError."""

    counters: Counters
    snapshots: Snapshots
    read_journal: Callable[[], tuple[int, DiskUsage]]
    list_active: Callable[[], Sequence[str]]
    rejections: Rejections = field(default_factory=Rejections)
    silence_after: Mapping[str, int] = field(default_factory=dict)
    read_hosts: Callable[[], Mapping[str, Host]] = dict
    read_backup: Callable[[], float] | None = None
    read_replica: Callable[[], ReplicaTimes] | None = None


class StateCollector(Collector):
    """Exposes the state, consistent within each scrape."""

    def __init__(self, sight: Sight, starts: SeriesStarts) -> None:
        """Keep what to read, and the starts of the series that are exposed at 0 while they are new."""
        self._sight = sight
        self._starts = starts

    def collect(self) -> Iterator[Metric]:
        """Return every metric of the sidecar and of the web process."""
        sight = self._sight
        try:
            journal, hosts = sight.read_journal(), sight.read_hosts()
        except JournalError:
            journal, hosts = None, {}
        with sight.counters.lock:
            state = sight.counters.state
            families = [
                *_expose_trades(state, self._starts),
                *_expose_sources(state.sources, self._starts),
                _expose_silence_limits(state.sources, sight.silence_after),
                *expose_positions(state.positions),
                *_expose_progress(state),
            ]
            last_seq = state.last_seq
        yield from families
        yield from _expose_observed(sight.snapshots.observed)
        yield from expose_workers(sight.snapshots.observed.workers, sight.list_active())
        yield from expose_hosts(hosts)
        # Without the journal its last seq is unknown; a made-up lag would hide that.
        if journal is not None:
            yield from _expose_journal(*journal, last_seq)
        yield gauge(
            "sidecar_snapshot_timestamp_seconds",
            "When the state was last saved, in seconds since 1970; 0: never.",
            sight.snapshots.saved_at,
        )
        if sight.read_backup is not None:
            yield gauge(
                "sidecar_backup_timestamp_seconds",
                "When the newest backup was made, in seconds since 1970; 0: there is none.",
                sight.read_backup(),
            )
        if sight.read_replica is not None:
            yield from _expose_replica(sight.read_replica())
        yield count("sidecar_snapshot_failures", "Snapshots that could not be saved.", sight.snapshots.failures)
        yield count_by(
            "sidecar_http_requests_rejected", "Requests rejected, by reason.", ["reason"], dict(sight.rejections.counts)
        )
        build = GaugeMetricFamily("sidecar_build_info", "The running version; always 1.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build


def make_registry(sight: Sight, starts: SeriesStarts) -> CollectorRegistry:
    """Make a registry of the state and of the sidecar's own process."""
    # Without names: a request for a metric by name finds those that workers report later, too.
    registry = CollectorRegistry(support_collectors_without_names=True)
    registry.register(StateCollector(sight, starts))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def _expose_trades(state: State, starts: SeriesStarts) -> Iterator[Metric]:
    by_side = ["symbol", "side"]
    trades = CounterMetricFamily("trading_trades", "Accepted trades.", labels=by_side)
    quantity = CounterMetricFamily("trading_quantity", "Quantity traded, in units of the symbol.", labels=by_side)
    notional = CounterMetricFamily("trading_notional", "Price times quantity.", labels=by_side)
    price = GaugeMetricFamily("trading_last_price", "Price of the trade with the newest ts.", labels=["symbol"])
    last_trade = GaugeMetricFamily(
        "trading_last_trade_timestamp_seconds", "The newest ts, in seconds since 1970.", labels=["symbol"]
    )
    for name, symbol in state.symbols.items():
        is_new, is_young = starts.is_new("symbol", name), starts.is_young("symbol", name)
        for side, tally in symbol.tallies.items():
            shown = Tally() if is_new else tally
            created = read_seconds(tally.created_at) if is_young and tally.created_at is not None else None
            trades.add_metric([name, side], shown.trades, created)
            quantity.add_metric([name, side], float(shown.quantity), created)
            notional.add_metric([name, side], float(shown.notional), created)
        # One price of several symbols would mean nothing.
        if symbol.last_price is not None and name != OTHER:
            price.add_metric([name], float(symbol.last_price))
        if symbol.last_ts is not None:
            last_trade.add_metric([name], read_seconds(symbol.last_ts))
    sizes = HistogramMetricFamily("trading_trade_notional", "Notional of each trade.", labels=["side", "quote"])
    for quote, counted in state.notional.items():
        histograms = make_histograms() if starts.is_new("quote", quote) else counted
        for side, histogram in histograms.items():
            add_histogram(sizes, [side, quote], histogram)
    yield from (trades, quantity, notional, price, last_trade, sizes)


def _expose_sources(sources: Sources, starts: SeriesStarts) -> Iterator[Metric]:
    trades = CounterMetricFamily("trading_source_trades", "Accepted trades by source.", labels=["source", "side"])
    notional = CounterMetricFamily(
        "trading_source_notional", "Price times quantity by source.", labels=["source", "side", "quote"]
    )
    last_trade = GaugeMetricFamily(
        "trading_source_last_trade_timestamp_seconds", "The newest ts, in seconds since 1970.", labels=["source"]
    )
    for source, totals in sources.totals.items():
        is_new = starts.is_new("source", source)
        for side, count_ in totals.trades.items():
            trades.add_metric([source, side], 0 if is_new else count_)
        if totals.last_ts is not None:
            last_trade.add_metric([source], read_seconds(totals.last_ts))
    for key, sums in sources.notional.items():
        source, _, quote = key.partition(" ")
        is_new = starts.is_new("source quote", key)
        for side, sum_ in sums.items():
            notional.add_metric([source, side, quote], 0 if is_new else float(sum_))
    yield from (trades, notional, last_trade)


def _expose_silence_limits(sources: Sources, limits: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(
        "trading_silence_limit_seconds", "How long a source may be silent, by SILENCE_AFTER.", labels=["source"]
    )
    for source, seconds in sources.find_silence_limits(limits).items():
        family.add_metric([source], seconds)
    return family


def _expose_progress(state: State) -> Iterator[Metric]:
    yield gauge("sidecar_last_seq", "Newest seq counted.", state.last_seq)
    yield gauge("sidecar_symbols", "Symbols with their own series.", len(state.symbols) - (OTHER in state.symbols))
    yield count("sidecar_overflow_trades", "Trades counted under the symbol other.", state.overflow_trades)


def _expose_observed(observed: Observed) -> Iterator[Metric]:
    delay = HistogramMetricFamily(
        "trading_event_delay_seconds", "From acceptance to counting, live events only.", labels=[]
    )
    add_histogram(delay, [], observed.delay)
    yield delay
    yield count_by("sidecar_events", "Events counted, by source.", ["source"], observed.events)
    rejected = dict.fromkeys(BAD_MESSAGE_REASONS, 0) | observed.rejected
    yield count_by("sidecar_messages_rejected", "Messages and peers that could not be used.", ["reason"], rejected)
    yield count("sidecar_duplicates", "Events received again and dropped.", observed.duplicates)
    yield count("sidecar_gaps", "Gaps in the hints, filled from the journal.", observed.gaps)


def _expose_journal(journal_seq: int, disk: DiskUsage, last_seq: int) -> Iterator[Metric]:
    yield gauge("sidecar_journal_last_seq", "Newest seq in the journal.", journal_seq)
    yield gauge("sidecar_lag_events", "Seqs in the journal that are not counted yet.", max(0, journal_seq - last_seq))
    yield gauge("sidecar_journal_size_bytes", "Size of the journal's files.", disk.used)
    yield gauge("sidecar_journal_free_bytes", "Free bytes on the journal's disk.", disk.free)
    yield gauge("sidecar_journal_disk_bytes", "Size of the journal's disk.", disk.total)


def _expose_replica(times: ReplicaTimes) -> Iterator[Metric]:
    yield gauge(
        "sidecar_journal_timestamp_seconds",
        "When the journal was last written, in seconds since 1970; 0: unknown.",
        times.written,
    )
    yield gauge(
        "sidecar_replica_timestamp_seconds",
        "Up to when Litestream's copy has the journal, in seconds since 1970; 0: there is none.",
        times.copied,
    )

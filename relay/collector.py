"""The collector: exposes what a relay over HTTP knows of each host (docs/metrics.md)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, Metric, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from common import __version__
from relay.puller import HostStatus

DIRECTION = "pull"


class RelayCollector(Collector):
    """Exposes every host, also those that were never reached."""

    def __init__(self, hosts: Sequence[HostStatus], rejections: Mapping[str, int]) -> None:
        """Keep what to read."""
        self._hosts = hosts
        self._rejections = rejections

    def collect(self) -> Iterator[Metric]:
        """Return every metric of the relay."""
        connected = GaugeMetricFamily(
            "relay_connected", "1 when the last request to a host succeeded.", labels=["direction", "host"]
        )
        errors = CounterMetricFamily(
            "relay_errors", "Requests to a host that failed, by reason.", labels=["direction", "host", "reason"]
        )
        conflicts = CounterMetricFamily(
            "relay_conflicts", "Histories of a host that are not the hub's.", labels=["direction", "host"]
        )
        for host in self._hosts:
            connected.add_metric([DIRECTION, host.url], host.wrong is None)
            conflicts.add_metric([DIRECTION, host.url], host.errors["conflict"])
            for reason, count in host.errors.items():
                errors.add_metric([DIRECTION, host.url, reason], count)
        yield from (connected, errors, conflicts)
        yield self._gauge("relay_last_seq", "The newest seq of the host that the hub has.", lambda host: host.last_seq)
        yield self._gauge(
            "relay_lag_seconds",
            "Age of the newest trade read while there are more, else 0.",
            lambda host: host.lag_seconds,
        )
        yield self._gauge(
            "relay_host_last_seen_timestamp_seconds", "When the host last answered.", lambda host: host.seen_at
        )
        yield self._count("relay_events", "Trades written to the hub.", lambda host: host.events)
        yield self._count("relay_duplicates", "Trades that the hub had.", lambda host: host.duplicates)
        yield from collect_process(self._rejections)

    def _gauge(self, name: str, text: str, read: Callable[[HostStatus], float]) -> Metric:
        return self._add(GaugeMetricFamily(name, text, labels=["direction", "journal_id"]), read)

    def _count(self, name: str, text: str, read: Callable[[HostStatus], float]) -> Metric:
        return self._add(CounterMetricFamily(name, text, labels=["direction", "journal_id"]), read)

    def _add(self, family: Any, read: Callable[[HostStatus], float]) -> Metric:  # noqa: ANN401 - untyped in the library
        # Two addresses may lead to one journal; a series must not be there twice.
        by_journal = {host.journal_id: host for host in self._hosts if host.journal_id}
        for journal_id, host in by_journal.items():
            family.add_metric([DIRECTION, journal_id], read(host))
        found: Metric = family
        return found


def collect_process(rejections: Mapping[str, int]) -> Iterator[Metric]:
    """Return what every relay exposes of itself."""
    rejected = CounterMetricFamily(
        "relay_http_requests_rejected", "Requests to the relay rejected, by reason.", labels=["reason"]
    )
    for reason, count in rejections.items():
        rejected.add_metric([reason], count)
    yield rejected
    build = GaugeMetricFamily("relay_build_info", "The running version; always 1.", labels=["version"])
    build.add_metric([__version__], 1)
    yield build


def make_scrape(collector: Collector) -> Callable[[str, Iterable[str]], tuple[bytes, str]]:
    """Return what exposes the collector and this process, for an Accept header and the names of metrics."""
    registry: Any = CollectorRegistry(support_collectors_without_names=True)
    registry.register(collector)
    for each in (ProcessCollector, PlatformCollector, GCCollector):
        each(registry=registry)

    def scrape(accept: str, names: Iterable[str]) -> tuple[bytes, str]:
        encode, kind = choose_encoder(accept)
        wanted = list(names)
        return encode(registry.restricted_registry(wanted) if wanted else registry), kind

    return scrape

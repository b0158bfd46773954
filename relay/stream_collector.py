"""The collector: exposes what a relay over a stream knows of the broker and of each journal (docs/metrics.md)."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from relay.collector import collect_process
from relay.stream_status import JournalStatus, StreamStatus

_GAUGES: Final[tuple[tuple[str, str, Callable[[JournalStatus], float]], ...]] = (
    ("relay_last_seq", "The newest seq that has passed.", lambda each: each.last_seq),
    ("relay_journal_last_seq", "The newest seq that the journal is known to have.", lambda each: each.journal_last_seq),
    (
        "relay_lag_events",
        "How many seqs have not passed.",
        lambda each: max(0, each.journal_last_seq - each.last_seq),
    ),
    ("relay_host_last_seen_timestamp_seconds", "When a message last passed.", lambda each: each.seen_at),
)

_COUNTERS: Final[tuple[tuple[str, str, Callable[[JournalStatus], float]], ...]] = (
    ("relay_events", "Trades that passed.", lambda each: each.events),
    ("relay_duplicates", "Trades that the hub had.", lambda each: each.duplicates),
    ("relay_rewinds", "How often a host was asked to go back.", lambda each: each.rewinds),
    ("relay_fenced", "Messages rejected since another one was the last of its subject.", lambda each: each.fenced),
    ("relay_conflicts", "Histories of a journal that are not the one that was read.", lambda each: each.conflicts),
)


class StreamCollector(Collector):
    """Exposes one relay; ``clock`` is in seconds since 1970."""

    def __init__(
        self, status: StreamStatus, rejections: Mapping[str, int], clock: Callable[[], float] = time.time
    ) -> None:
        """Keep what to read."""
        self._status = status
        self._rejections = rejections
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Return every metric of the relay."""
        status, direction = self._status, self._status.direction
        connected = GaugeMetricFamily("relay_connected", "1 while trades can pass.", labels=["direction", "host"])
        connected.add_metric([direction, status.address], status.wrong is None)
        errors = CounterMetricFamily(
            "relay_errors", "What kept trades from passing, by reason.", labels=["direction", "host", "reason"]
        )
        for reason, count in status.errors.items():
            errors.add_metric([direction, status.address, reason], count)
        yield from (connected, errors)
        if status.differs:
            differs = GaugeMetricFamily(
                "relay_stream_differs",
                "1 when the stream was made with another value than the settings say.",
                labels=["direction", "setting"],
            )
            for setting, other in status.differs.items():
                differs.add_metric([direction, setting], other)
            yield differs
        # The other thread adds journals.
        journals = list(status.journals.values())
        for name, text, read in _GAUGES:
            yield self._add(GaugeMetricFamily(name, text, labels=["direction", "journal_id"]), journals, read)
        for name, text, read in _COUNTERS:
            yield self._add(CounterMetricFamily(name, text, labels=["direction", "journal_id"]), journals, read)
        lag = GaugeMetricFamily("relay_lag_seconds", "Age of what waits, else 0.", labels=["direction", "journal_id"])
        yield self._add(lag, journals, self._find_lag)
        yield self._make_acks()
        yield from collect_process(self._rejections)

    def _find_lag(self, journal: JournalStatus) -> float:
        return max(0.0, self._clock() - journal.waiting_since) if journal.waiting_since else 0.0

    def _add(self, family: Any, journals: list[JournalStatus], read: Callable[[JournalStatus], float]) -> Metric:  # noqa: ANN401 - untyped in the library
        for journal in journals:
            family.add_metric([self._status.direction, journal.journal_id], read(journal))
        found: Metric = family
        return found

    def _make_acks(self) -> Metric:
        family = HistogramMetricFamily(
            "relay_ack_seconds", "From sending a message to its acknowledgement.", labels=["direction"]
        )
        counts, total = [], 0
        for bound, count in self._status.acks.buckets.items():
            total += count
            counts.append((bound, total))
        family.add_metric([self._status.direction], counts, float(self._status.acks.total))
        return family

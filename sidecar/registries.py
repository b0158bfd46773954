"""The registries: one for each Prometheus, since each is told once how a series began, and one for anybody else."""

import threading
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from sidecar.collector import Sight, StateCollector
from sidecar.series_start import SeriesStarts

SCRAPERS_LIMIT: Final = 16
"""Scrapers that are told apart; any more are served as anybody else."""


class Registries:
    """Makes a registry with a scraper's first scrape, and keeps it."""

    def __init__(self, sight: Sight) -> None:
        """Keep what the collectors look at."""
        self._sight = sight
        self._lock = threading.Lock()
        self._plain = self._make(SeriesStarts(young_seconds=0))
        self._known: dict[str, CollectorRegistry] = {}

    def choose(self, scraper: str | None) -> CollectorRegistry:
        """Give the registry of a scraper; None for one that is no Prometheus."""
        if scraper is None:
            return self._plain
        with self._lock:
            if scraper not in self._known and len(self._known) < SCRAPERS_LIMIT:
                self._known[scraper] = self._make(SeriesStarts())
            return self._known.get(scraper, self._plain)

    def _make(self, births: SeriesStarts) -> CollectorRegistry:
        registry = CollectorRegistry()
        registry.register(StateCollector(self._sight, births))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        return registry

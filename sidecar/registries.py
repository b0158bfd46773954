"""The registries: one for each Prometheus, since each receives a series start once, and one for other clients."""

import threading
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from sidecar.collector import Sight, StateCollector
from sidecar.series_start import SeriesStarts

SCRAPERS_LIMIT: Final = 16
"""Scrapers that have their own registry; further ones are served as other clients."""


class Registries:
    """Makes a scraper's registry at its first scrape, and keeps it."""

    def __init__(self, sight: Sight) -> None:
        """Keep what the collectors read."""
        self._sight = sight
        self._lock = threading.Lock()
        self._default = self._make(SeriesStarts(young_seconds=0))
        self._by_scraper: dict[str, CollectorRegistry] = {}

    def choose(self, scraper: str | None) -> CollectorRegistry:
        """Return the registry of a scraper; None is any client but Prometheus."""
        if scraper is None:
            return self._default
        with self._lock:
            if scraper not in self._by_scraper and len(self._by_scraper) < SCRAPERS_LIMIT:
                self._by_scraper[scraper] = self._make(SeriesStarts())
            return self._by_scraper.get(scraper, self._default)

    def _make(self, series_starts: SeriesStarts) -> CollectorRegistry:
        registry = CollectorRegistry()
        registry.register(StateCollector(self._sight, series_starts))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        return registry

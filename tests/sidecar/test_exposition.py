"""The exposition, byte for byte that of prometheus_client."""

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Exemplar, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from common.settings import Settings
from sidecar.collector import StateCollector
from sidecar.exposition import write_openmetrics, write_text
from sidecar.routes import Registries
from sidecar.series_start import SeriesStarts
from sidecar.state import State
from tests.conftest import JOURNAL_ID, make_event, make_hint
from tests.sidecar.test_collector import make_sight

NUMBERS = (0, 1, 0.1, 999_999, 999_999.5, 1_000_000, 1_234_567.25, 1e16, 1.5e300, 1e-9, -1, -1_234_567, 2**63)
ESCAPINGS = ("", "; escaping=dots", "; escaping=underscores", "; escaping=values", "; escaping=allow-utf-8")
TEXTS = ("plain", 'a "quoted" text', "back\\slash", "two\nlines", "\u00e9\u6f22", "")


class Awkward(Collector):
    """Every kind of metric that the sidecar has, with texts that are escaped and numbers in every form."""

    def collect(self) -> list[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        """Return them."""
        counter = CounterMetricFamily("trading_things", 'Help with \\, " and\na line.', labels=["symbol", "le2"])
        for number, text in enumerate(TEXTS):
            counter.add_metric([text, text], number, created=1769851800.25 if number % 2 else None)
        gauge = GaugeMetricFamily("trading_size", "Sizes.", labels=["number"])
        for size in (*NUMBERS, float("inf"), float("-inf"), float("nan")):
            gauge.add_metric([str(size)], float(size))
        sizes = HistogramMetricFamily("trading_sizes", "Sizes.", labels=["side"])
        exemplar = Exemplar({"request_id": "r-1"}, 0.25, 1769851800.5)
        sizes.add_metric(["BUY"], [("1.0", 1, exemplar), ("+Inf", 2)], sum_value=2.5)
        empty = GaugeMetricFamily("trading_nothing", "Nothing.", labels=["side"])
        return [counter, gauge, sizes, empty]


def make_registries() -> list[CollectorRegistry]:
    awkward = CollectorRegistry()
    awkward.register(Awkward())
    state = State(JOURNAL_ID)
    events = [make_event(seq, symbol=f"S{seq}/" + ("USD", 'A"B')[seq % 2]) for seq in range(1, 9)]
    starts = SeriesStarts(lambda: 100.0)
    starts.note(state)
    state.receive([([make_hint(event, "r-1") for event in events], 1769851801.0)], Settings(symbol_limit=6))
    starts.note(state)
    own = CollectorRegistry()
    own.register(StateCollector(make_sight(state), starts))
    return [awkward, own]


@pytest.mark.parametrize("registry", make_registries())
def test_both_texts_are_those_of_the_library(registry: CollectorRegistry) -> None:
    assert write_text(registry.collect()) == generate_latest(registry)
    assert write_openmetrics(registry.collect()) == openmetrics.generate_latest(registry)


@pytest.mark.parametrize("escaping", ESCAPINGS)
@pytest.mark.parametrize("kind", ["text/plain;version=1.0.0", "application/openmetrics-text;version=1.0.0"])
def test_names_are_escaped_as_the_client_asks(kind: str, escaping: str) -> None:
    registry = make_registries()[0]
    encode, answered = choose_encoder(kind + escaping)
    assert Registries(registry, registry).scrape(kind + escaping, []) == (encode(registry), answered)

from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from common.timestamps import format_timestamp, now
from sidecar.registries import SCRAPERS_LIMIT, Registries
from sidecar.series_start import YOUNG_SECONDS, SeriesStarts
from sidecar.state import State, read_seconds
from tests.conftest import JOURNAL_ID, make_event
from tests.sidecar.test_collector import see

BORN = "2026-01-31T09:30:00.000000Z"
AT = read_seconds(BORN)


def test_a_new_series_is_told_once_with_the_moment_before_it_began() -> None:
    births = SeriesStarts(clock=lambda: AT + 0.4)
    assert births.tell("BTCUSDT", "BUY", None) is None
    told = births.tell("BTCUSDT", "BUY", BORN)
    assert told == (AT - 0.001, AT + 0.4)
    assert births.tell("BTCUSDT", "BUY", BORN) is None
    assert births.tell("BTCUSDT", "SELL", BORN) is not None


def test_an_old_series_has_no_beginning_to_be_told() -> None:
    assert SeriesStarts(clock=lambda: AT + YOUNG_SECONDS + 1).tell("BTCUSDT", "BUY", BORN) is None
    assert SeriesStarts(clock=lambda: AT - 5).tell("BTCUSDT", "BUY", BORN) is None


def test_each_prometheus_is_told_and_nobody_else() -> None:
    state = State(JOURNAL_ID)
    moment = format_timestamp(now())
    state.apply([make_event(1, accepted_at=moment)], "journal", 10)
    registries = Registries(see(state))

    def read(scraper: str | None) -> list[float]:
        registry: CollectorRegistry = registries.choose(scraper)
        lines = generate_latest(registry).decode().splitlines()
        ours = [line for line in lines if line.startswith("trading_trades_total{") and "BUY" in line]
        return [float(line.split("} ")[1].split()[0]) for line in ours]

    assert read(None) == [1]
    assert read("one") == [0, 1]
    assert read("one") == [1]
    assert read("two") == [0, 1]
    assert read(None) == [1]
    for number in range(SCRAPERS_LIMIT):
        read(f"more {number}")
    assert read("one too many") == [1]

from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from common.settings import Settings
from common.timestamps import format_timestamp, now
from sidecar.registries import SCRAPERS_LIMIT, Registries
from sidecar.series_start import YOUNG_SECONDS, SeriesStarts
from sidecar.state import State, read_seconds
from tests.conftest import JOURNAL_ID, make_event
from tests.sidecar.test_collector import make_sight

CREATED_AT = "2026-01-31T09:30:00.000000Z"
AT = read_seconds(CREATED_AT)


def test_the_start_of_a_new_series_is_given_once_with_the_time_before_its_first_trade() -> None:
    starts = SeriesStarts(clock=lambda: AT + 0.4)
    assert starts.take("BTCUSDT", "BUY", None) is None
    first = starts.take("BTCUSDT", "BUY", CREATED_AT)
    assert first == (AT - 0.001, AT + 0.4)
    assert starts.take("BTCUSDT", "BUY", CREATED_AT) is None
    assert starts.take("BTCUSDT", "SELL", CREATED_AT) is not None


def test_an_old_series_has_no_start() -> None:
    assert SeriesStarts(clock=lambda: AT + YOUNG_SECONDS + 1).take("BTCUSDT", "BUY", CREATED_AT) is None
    assert SeriesStarts(clock=lambda: AT - 5).take("BTCUSDT", "BUY", CREATED_AT) is None


def test_each_prometheus_gets_a_series_start_and_other_clients_do_not() -> None:
    state = State(JOURNAL_ID)
    state.apply([make_event(1, accepted_at=format_timestamp(now()))], "journal", Settings(symbol_limit=10))
    registries = Registries(make_sight(state))

    def scrape(scraper: str | None) -> list[float]:
        registry: CollectorRegistry = registries.choose(scraper)
        lines = generate_latest(registry).decode().splitlines()
        ours = [line for line in lines if line.startswith("trading_trades_total{") and "BUY" in line]
        return [float(line.split("} ")[1].split()[0]) for line in ours]

    assert scrape(None) == [1]
    assert scrape("one") == [0, 1]
    assert scrape("one") == [1]
    assert scrape("two") == [0, 1]
    assert scrape(None) == [1]
    for number in range(SCRAPERS_LIMIT):
        scrape(f"more {number}")
    assert scrape("one too many") == [1]

from decimal import Decimal

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from common.settings import Settings
from sidecar.collector import StateCollector
from sidecar.counters import Counters
from sidecar.series_start import CREATED_SECONDS, ZERO_SECONDS, SeriesStarts
from sidecar.state import State
from tests.conftest import JOURNAL_ID, make_event, make_hint
from tests.sidecar.test_collector import make_sight


class Rig:
    def __init__(self) -> None:
        self.now = 1000.0
        self.counters = Counters(State(JOURNAL_ID), Settings(), SeriesStarts(lambda: self.now))
        self.seq = 0

    def apply(self, symbol: str = "BTCUSDT", **fields: str) -> None:
        self.seq += 1
        self.counters.receive([make_hint(make_event(self.seq, symbol=symbol, **fields))], 0.0)
        # As the snapshot does twice a second.
        assert self.counters.state.last_seq == self.seq

    def expose(self, begin: str, starts: SeriesStarts | None = None) -> list[str]:
        sight = make_sight(self.counters.state)
        registry = CollectorRegistry()
        registry.register(StateCollector(sight, starts or self.counters.starts))
        return [line for line in generate_latest(registry).decode().splitlines() if line.startswith(begin)]


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.counters.settle()
    return rig


BUY = 'trading_trades_total{side="BUY",symbol="BTCUSDT"}'


def test_a_new_series_is_exposed_at_0_for_some_seconds_and_no_sample_carries_a_time(rig: Rig) -> None:
    rig.apply()
    rig.apply()
    rig.now += ZERO_SECONDS - 0.01
    assert rig.expose(BUY) == [f"{BUY} 0.0"]
    assert rig.expose(BUY) == [f"{BUY} 0.0"]
    rig.apply()
    rig.now += 0.01
    assert rig.expose(BUY) == [f"{BUY} 3.0"]


@pytest.mark.parametrize("what", ["trades", "quantity", "notional"])
def test_every_total_of_a_new_symbol_is_at_0(rig: Rig, what: str) -> None:
    rig.apply(price="7", qty="3")
    totals = rig.expose(f"trading_{what}_total{{")
    assert totals
    assert {line.split()[-1] for line in totals} == {"0.0"}


def test_a_new_side_of_a_symbol_was_at_0_before(rig: Rig) -> None:
    rig.apply()
    rig.now += ZERO_SECONDS
    rig.apply(side="SELL")
    sell = BUY.replace("BUY", "SELL")
    assert rig.expose(sell) == [f"{sell} 1.0"]


def test_the_histogram_of_a_new_quote_is_at_0(rig: Rig) -> None:
    count = 'trading_trade_notional_count{quote="EUR",side="BUY"}'
    rig.apply("BTC/EUR")
    assert rig.expose(count) == [f"{count} 0.0"]
    rig.now += ZERO_SECONDS
    assert rig.expose(count) == [f"{count} 1.0"]
    # Neither was the symbol other new, nor is what was counted changed.
    assert rig.counters.state.notional["EUR"]["BUY"].total > Decimal(0)


def test_the_totals_of_a_new_source_and_of_its_new_quote_are_at_0(rig: Rig) -> None:
    trades, notional = "trading_source_trades_total{", "trading_source_notional_total{"
    rig.apply(source="bot-1", price="2", qty="3")
    assert {line.split()[-1] for line in rig.expose(trades) + rig.expose(notional)} == {"0.0"}
    rig.now += ZERO_SECONDS
    rig.apply("BTC/EUR", source="bot-1")
    assert f'{trades}side="BUY",source="bot-1"}} 2.0' in rig.expose(trades)
    assert f'{notional}quote="USDT",side="BUY",source="bot-1"}} 6.0' in rig.expose(notional)
    assert f'{notional}quote="EUR",side="BUY",source="bot-1"}} 0.0' in rig.expose(notional)


def test_the_text_exposition_shows_values_at_once(rig: Rig) -> None:
    rig.apply()
    assert rig.expose(BUY, SeriesStarts()) == [f"{BUY} 1.0"]


def test_series_that_may_have_been_scraped_before_a_restart_are_not_new() -> None:
    rig = Rig()
    rig.apply()
    rig.counters.settle()
    assert rig.expose(BUY) == [f"{BUY} 1.0"]
    assert rig.expose("trading_trades_created") == []


def test_registered_symbols_are_not_new_with_their_first_trade() -> None:
    rig = Rig()
    rig.counters.state.register(Settings(trading_symbols=("BTCUSDT",)))
    rig.counters.settle()
    rig.apply()
    assert rig.expose(BUY) == [f"{BUY} 1.0"]


def test_a_replaced_journal_has_no_new_series(rig: Rig) -> None:
    other = State("b" * 32)
    other.apply([make_event(1)], "journal", Settings())
    rig.counters.replace(other, 1)
    assert rig.expose(BUY) == [f"{BUY} 1.0"]


def test_openmetrics_says_for_some_minutes_when_a_counter_was_created(rig: Rig) -> None:
    rig.apply(accepted_at="2026-01-31T09:30:00.500000Z")
    created = 'trading_trades_created{side="BUY",symbol="BTCUSDT"}'
    rig.now += CREATED_SECONDS - 0.01
    assert rig.expose("trading_trades_created") == [f"{created} 1.7698518005e+09"]
    rig.now += 0.01
    assert rig.expose("trading_trades_created") == []

import threading

from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from sidecar.collector import SnapshotRecord, StateCollector
from sidecar.state import State
from tape.errors import JournalError
from tests.conftest import ORIGIN, make_event


def expose(state: State, journal_seq: int | None = 9) -> dict[str, float]:
    def read_last_seq() -> int:
        if journal_seq is None:
            raise JournalError("locked", "locked")
        return journal_seq

    registry = CollectorRegistry()
    registry.register(
        StateCollector(lambda: state, threading.Lock(), SnapshotRecord(5.0, 2, 0, state.observed), read_last_seq)
    )
    text = generate_latest(registry).decode()
    return {
        sample.name + "".join(f",{name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_total_is_exposed_in_valid_openmetrics() -> None:
    state = State(ORIGIN)
    state.apply([make_event(1, price="20", qty="2"), make_event(2, price="5", qty="1")], "live", 200, 1769851800.02)
    samples = expose(state)
    assert samples["trading_trades_total,side=BUY,symbol=BTCUSDT"] == 2
    assert samples["trading_trades_total,side=SELL,symbol=BTCUSDT"] == 0
    assert samples["trading_quantity_total,side=BUY,symbol=BTCUSDT"] == 3
    assert samples["trading_notional_total,side=BUY,symbol=BTCUSDT"] == 45
    assert samples["trading_last_price,symbol=BTCUSDT"] == 5
    assert samples["trading_trade_notional_bucket,le=30.0,side=BUY"] == 1
    assert samples["trading_trade_notional_bucket,le=+Inf,side=BUY"] == 2
    assert samples["trading_trade_notional_sum,side=BUY"] == 45
    assert samples["trading_event_delay_seconds_bucket,le=0.025"] == 2
    assert samples["sidecar_last_seq"] == 2
    assert samples["sidecar_journal_last_seq"] == 9
    assert samples["sidecar_lag_events"] == 7
    assert samples["sidecar_snapshot_failures_total"] == 2


def test_without_the_journal_no_lag_is_made_up() -> None:
    samples = expose(State(ORIGIN), None)
    assert "sidecar_lag_events" not in samples
    assert samples["sidecar_last_seq"] == 0


def test_folded_symbols_have_totals_but_no_price() -> None:
    state = State(ORIGIN)
    state.apply([make_event(n, symbol=f"S{n}") for n in range(1, 5)], "journal", 1)
    samples = expose(state)
    assert samples["trading_trades_total,side=BUY,symbol=other"] == 3
    assert samples["sidecar_symbols"] == 1
    assert samples["sidecar_symbols_folded_total"] == 3
    assert "trading_last_price,symbol=other" not in samples

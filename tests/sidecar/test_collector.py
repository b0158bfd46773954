import dataclasses
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from common.errors import JournalError
from common.journal.disk import DiskUsage
from common.settings import Settings
from common.wire.worker_totals import WorkerTotals
from sidecar.collector import Sight, StateCollector, make_registry
from sidecar.counters import Counters
from sidecar.series_start import SeriesStarts
from sidecar.snapshot import Snapshots
from sidecar.state import State, read_seconds
from tests.conftest import JOURNAL_ID, make_event, make_hint, name_worker, receive_hints
from tests.worker_totals import count_requests, gauge, observe

W1 = name_worker(1)
NO_STARTS = SeriesStarts()


def make_sight(state: State, journal_seq: int | None = 9) -> Sight:
    def read_journal() -> tuple[int, DiskUsage]:
        if journal_seq is None:
            raise JournalError("locked", "locked")
        return journal_seq, DiskUsage(1000, 20_000, 300_000)

    snapshots = Snapshots(Path())
    snapshots.saved_at, snapshots.failures, snapshots.observed = 5.0, 2, state.observed
    return Sight(Counters(state, Settings()), snapshots, read_journal, lambda: [W1])


def write(state: State, journal_seq: int | None = 9) -> str:
    registry = CollectorRegistry()
    registry.register(StateCollector(make_sight(state, journal_seq), NO_STARTS))
    return str(generate_latest(registry).decode())


def expose(state: State, journal_seq: int | None = 9) -> dict[str, float]:
    text = write(state, journal_seq)
    return {
        sample.name + "".join(f",{name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_total_is_exposed_in_valid_openmetrics() -> None:
    state = State(JOURNAL_ID)
    state.receive(
        receive_hints([make_event(1, price="20", qty="2"), make_event(2, price="5", qty="1")], 1769851800.02),
        Settings(),
    )
    samples = expose(state)
    assert samples["trading_trades_total,side=BUY,symbol=BTCUSDT"] == 2
    assert samples["trading_trades_total,side=SELL,symbol=BTCUSDT"] == 0
    assert samples["trading_quantity_total,side=BUY,symbol=BTCUSDT"] == 3
    assert samples["trading_notional_total,side=BUY,symbol=BTCUSDT"] == 45
    assert samples["trading_last_price,symbol=BTCUSDT"] == 5
    assert samples["trading_trade_notional_bucket,le=30.0,quote=USDT,side=BUY"] == 1
    assert samples["trading_trade_notional_bucket,le=+Inf,quote=USDT,side=BUY"] == 2
    assert samples["trading_trade_notional_sum,quote=USDT,side=BUY"] == 45
    assert samples["trading_trade_notional_count,quote=other,side=BUY"] == 0
    assert samples["trading_event_delay_seconds_bucket,le=0.025"] == 2
    assert samples["sidecar_last_seq"] == 2
    assert samples["sidecar_journal_last_seq"] == 9
    assert samples["sidecar_lag_events"] == 7
    assert samples["sidecar_snapshot_failures_total"] == 2


def test_totals_by_source_are_exposed_and_trades_without_one_from_the_start() -> None:
    state = State(JOURNAL_ID)
    samples = expose(state)
    assert samples["trading_source_trades_total,side=SELL,source="] == 0
    assert samples["trading_source_notional_total,quote=other,side=BUY,source="] == 0
    assert "trading_source_last_trade_timestamp_seconds,source=" not in samples
    events = [
        make_event(1, price="20", qty="2", source="bot-1"),
        make_event(2, price="5", qty="1", source="bot-1", symbol="BTC/EUR", ts="2025-01-31T09:30:00.000000Z"),
        make_event(3),
    ]
    state.apply(events, "journal", Settings())
    samples = expose(state)
    assert samples["trading_source_trades_total,side=BUY,source=bot-1"] == 2
    assert samples["trading_source_trades_total,side=BUY,source="] == 1
    assert samples["trading_source_notional_total,quote=USDT,side=BUY,source=bot-1"] == 40
    assert samples["trading_source_notional_total,quote=EUR,side=BUY,source=bot-1"] == 5
    newest = read_seconds(events[0].ts)
    assert samples["trading_source_last_trade_timestamp_seconds,source=bot-1"] == newest


def test_limits_of_silence_are_exposed_by_source() -> None:
    sight = dataclasses.replace(make_sight(State(JOURNAL_ID)), silence_after={"bot-1": 600, "*": 60})
    registry = CollectorRegistry()
    registry.register(StateCollector(sight, NO_STARTS))
    assert registry.get_sample_value("trading_silence_limit_seconds", {"source": "bot-1"}) == 600
    assert registry.get_sample_value("trading_silence_limit_seconds", {"source": ""}) is None


def test_no_lag_is_exposed_while_the_journal_cannot_be_read() -> None:
    samples = expose(State(JOURNAL_ID), None)
    assert "sidecar_lag_events" not in samples
    assert samples["sidecar_last_seq"] == 0


def test_symbols_past_the_limit_have_totals_but_no_price() -> None:
    state = State(JOURNAL_ID)
    state.apply([make_event(n, symbol=f"S{n}") for n in range(1, 5)], "journal", Settings(symbol_limit=1))
    samples = expose(state)
    assert samples["trading_trades_total,side=BUY,symbol=other"] == 3
    assert samples["sidecar_symbols"] == 1
    assert samples["sidecar_overflow_trades_total"] == 3
    assert "trading_last_price,symbol=other" not in samples


def test_the_totals_of_the_workers_are_exposed() -> None:
    state = State(JOURNAL_ID)
    metrics = [count_requests({"POST /trade 201": 3}), gauge("webapp_connections", 7), observe("GET /", 0.5)]
    state.observed.workers.update(WorkerTotals(W1, 1, metrics=metrics))
    samples = expose(state)
    assert samples["webapp_http_requests_total,method=POST,route=/trade,status=201"] == 3
    assert samples["webapp_workers"] == 1
    assert samples["webapp_connections"] == 7
    assert samples["webapp_http_request_duration_seconds_bucket,le=0.1,method=GET,route=/"] == 0
    assert samples["webapp_http_request_duration_seconds_bucket,le=1.0,method=GET,route=/"] == 1
    assert samples["webapp_http_request_duration_seconds_sum,method=GET,route=/"] == 0.5


def test_a_metric_that_no_one_knew_at_the_start_is_exposed_when_it_is_asked_for_by_name() -> None:
    state = State(JOURNAL_ID)
    registry = make_registry(make_sight(state), NO_STARTS)
    state.observed.workers.update(WorkerTotals(W1, 1, metrics=[gauge("webapp_new", 7)]))
    asked = registry.restricted_registry(["webapp_new", "sidecar_last_seq", "webapp_other"])
    assert {metric.name for metric in asked.collect()} == {"webapp_new", "sidecar_last_seq"}


def test_slow_observations_carry_the_ids_of_their_requests() -> None:
    state = State(JOURNAL_ID)
    slow = make_hint(make_event(1), "r-slow")
    state.receive([([slow], read_seconds(slow.accepted_at) + 3)], Settings())
    metrics = [observe("POST /trade", 0.3, request_id="r-web")]
    state.observed.workers.update(WorkerTotals(W1, 1, metrics=metrics))
    lines = write(state).splitlines()
    assert [line for line in lines if 'le="5.0"' in line and 'request_id="r-slow"' in line and "delay" in line]
    assert [line for line in lines if 'le="1.0"' in line and 'request_id="r-web"' in line and 'route="/trade"' in line]

import random
from collections.abc import Iterable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.event import SIDES, Event, Side
from common.settings import Settings
from sidecar.state import OTHER, OVERFLOW_SYMBOLS, QUOTE_LIMIT, State, read_seconds
from tests.conftest import JOURNAL_ID, make_event, receive_hints


def test_totals_are_exact_by_symbol_and_side() -> None:
    state = State(JOURNAL_ID)
    state.receive(
        receive_hints([make_event(1, price="0.1", qty="3"), make_event(2, price="0.2", qty="3")], 1e9), Settings()
    )
    state.apply(
        [make_event(5, side="SELL", price="7.5", qty="0.25", ts="2026-01-31T10:00:00.500000Z")],
        "journal",
        Settings(),
    )
    symbol = state.symbols["BTCUSDT"]
    assert (symbol.tallies["BUY"].trades, symbol.tallies["SELL"].trades) == (2, 1)
    assert symbol.tallies["BUY"].notional == Decimal("0.9")
    assert symbol.tallies["SELL"].quantity == Decimal("0.25")
    assert symbol.last_price == "7.5"
    assert symbol.last_ts == "2026-01-31T10:00:00.500000Z"
    assert read_seconds(symbol.last_ts) == 1769853600.5
    assert state.last_seq == 5
    assert state.observed.events == {"live": 2, "journal": 1}
    assert sum(state.observed.delay.buckets.values()) == 2


def test_a_notional_at_a_bound_is_in_its_bucket_and_one_above_all_bounds_in_the_last() -> None:
    state = State(JOURNAL_ID)
    state.apply(
        [make_event(1, price="10", qty="1"), make_event(2, price="10.000000000001", qty="1")],
        "journal",
        Settings(),
    )
    state.apply([make_event(3, price="100000000", qty="1")], "journal", Settings())
    histogram = state.notional["USDT"]["BUY"]
    assert {end: count for end, count in histogram.buckets.items() if count} == {"10.0": 1, "30.0": 1, "+Inf": 1}
    assert histogram.total == Decimal("100000020.000000000001")


def test_symbols_past_the_limit_are_counted_under_other_and_totals_stay_right() -> None:
    state = State(JOURNAL_ID)
    state.apply([make_event(n, symbol=f"S{n % 5}") for n in range(1, 101)], "journal", Settings(symbol_limit=2))
    assert set(state.symbols) == {"S1", "S2", OTHER}
    assert state.overflow_trades == 60
    assert state.symbols[OTHER].last_ts == make_event(1).ts
    assert sum(tally.trades for s in state.symbols.values() for tally in s.tallies.values()) == 100


def test_the_state_depends_on_the_order_of_events_only() -> None:
    chance = random.Random(7)
    events = [
        make_event(n, symbol=f"S{chance.randrange(30)}", price=str(chance.randrange(1, 99))) for n in range(1, 500)
    ]
    whole, parts = State(JOURNAL_ID), State(JOURNAL_ID)
    whole.apply(events, "journal", Settings(symbol_limit=10))
    rest = list(events)
    while rest:
        size = chance.randrange(1, 40)
        parts.apply(rest[:size], "journal", Settings(symbol_limit=10))
        rest = rest[size:]
    assert whole == parts


def test_registered_symbols_start_at_zero() -> None:
    state = State(JOURNAL_ID)
    state.register(Settings(trading_symbols=("ETHUSDT",)))
    assert state.symbols["ETHUSDT"].tallies["BUY"].trades == 0
    assert state.symbols["ETHUSDT"].last_price is None


def find_last_trade(events: Iterable[Event], size: int) -> tuple[str | None, str | None]:
    state, rest = State(JOURNAL_ID), list(events)
    while rest:
        state.apply(rest[:size], "journal", Settings())
        rest = rest[size:]
    symbol = state.symbols["BTCUSDT"]
    assert state.last_seq == 40
    return symbol.last_price, symbol.last_ts


@pytest.mark.parametrize("size", [1, 7, 40])
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(SIDES)), min_size=40, max_size=40))
def test_the_last_price_is_that_of_the_newest_ts_and_of_the_later_seq_at_the_same_ts(
    size: int, trades: list[tuple[int, Side]]
) -> None:
    events = [
        make_event(seq, side=side, price=str(seq), ts=f"2026-01-31T09:30:0{second}.000000Z")
        for seq, (second, side) in enumerate(trades, start=1)
    ]
    newest = max(events, key=lambda event: (event.ts, event.seq))
    assert find_last_trade(events, size) == (newest.price, newest.ts)


def test_importing_the_trades_of_last_year_does_not_move_the_last_price() -> None:
    state = State(JOURNAL_ID)
    state.apply([make_event(1, price="7", ts="2026-01-31T09:30:00.000000Z")], "journal", Settings())
    state.apply([make_event(2, price="3", ts="2025-01-31T09:30:00.000000Z")], "journal", Settings())
    assert (state.symbols["BTCUSDT"].last_price, state.last_seq) == ("7", 2)


def test_a_clock_that_ran_backwards_makes_no_negative_delay() -> None:
    state = State(JOURNAL_ID)
    state.receive(receive_hints([make_event(1)], 0.0), Settings())
    assert state.observed.delay.total == 0
    assert state.observed.delay.buckets["0.001"] == 1


def test_the_most_frequent_symbols_past_the_limit_are_known_by_name_in_bounded_memory() -> None:
    state = State(JOURNAL_ID)
    chance = random.Random(3)
    names = ["BAD"] * 2000 + ["WORSE"] * 3000 + [f"ONCE{n}" for n in range(5000)]
    chance.shuffle(names)
    events = [make_event(1, symbol="FIRST"), *(make_event(n, symbol=name) for n, name in enumerate(names, start=2))]
    state.apply(events, "journal", Settings(symbol_limit=1))
    assert len(state.overflow_symbols) == OVERFLOW_SYMBOLS
    assert sorted(state.overflow_symbols, key=state.overflow_symbols.__getitem__)[-2:] == ["BAD", "WORSE"]
    assert state.overflow_trades == 10_000


def test_created_at_is_when_the_first_trade_was_accepted() -> None:
    state = State(JOURNAL_ID)
    state.apply([make_event(1, accepted_at="2026-01-31T10:00:00.000000Z"), make_event(2)], "journal", Settings())
    state.apply([make_event(3)], "journal", Settings())
    assert state.symbols["BTCUSDT"].tallies["BUY"].created_at == "2026-01-31T10:00:00.000000Z"
    assert state.symbols["BTCUSDT"].tallies["SELL"].created_at is None


def count_notionals(state: State) -> dict[str, int]:
    return {
        quote: sum(sum(histogram.buckets.values()) for histogram in histograms.values())
        for quote, histograms in state.notional.items()
    }


def test_notionals_are_counted_by_quote_also_past_the_limit_of_symbols() -> None:
    state = State(JOURNAL_ID)
    symbols = ["BTCUSDT", "ETH/EUR", "AAPL", "SOL/EUR:EUR", "ADA/JPY", "XRPBTC"]
    state.apply(
        [make_event(seq, symbol=symbol, price=str(seq), qty="1") for seq, symbol in enumerate(symbols, start=1)],
        "journal",
        Settings(symbol_limit=2),
    )
    assert count_notionals(state) == {OTHER: 1, "USDT": 1, "EUR": 2, "JPY": 1, "BTC": 1}
    assert state.notional["EUR"]["BUY"].total == 2 + 4


def test_quotes_past_the_limit_are_counted_under_other_and_known_currencies_are_not() -> None:
    state = State(JOURNAL_ID)
    symbols = [f"X/Q{number}" for number in range(QUOTE_LIMIT + 9)]
    symbols += ["X/USDT", "X/Q0", "X/Q99"]
    events = [make_event(seq, symbol=symbol) for seq, symbol in enumerate(symbols, start=1)]
    state.apply(events, "journal", Settings())
    counted = count_notionals(state)
    assert len(counted) == QUOTE_LIMIT + 1
    assert (counted["USDT"], counted["Q0"], counted[OTHER]) == (1, 2, 11)
    assert state.find_fault() is None


def test_the_quotes_of_registered_symbols_start_at_zero() -> None:
    state = State(JOURNAL_ID)
    state.register(Settings(trading_symbols=("ETHUSDT", "X/ABC")))
    assert count_notionals(state) == {OTHER: 0, "USDT": 0, "ABC": 0}

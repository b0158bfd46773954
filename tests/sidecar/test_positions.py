"""Positions, compared with a reference in fractions that books the profit of each close."""

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.event import SIDES, Event
from common.journal.batches import read_batches
from common.journal.store import Journal
from common.settings import Settings
from common.tally import EXACT, write_sum
from sidecar.counters import Counters
from sidecar.position import Position
from sidecar.position_answer import encode_positions
from sidecar.positions import Positions
from sidecar.retention import read_checkpoint
from sidecar.snapshot import Snapshots, decode_state, encode_state
from sidecar.state import State
from tests.conftest import JOURNAL_ID, append, make_event
from tests.sidecar.test_collector import expose

SETTINGS = Settings(symbol_limit=3, source_limit=2)
DECIMALS = st.one_of(
    st.sampled_from(["1", "2", "3", "0.5", "2.50", "0.000000000000000001", "9" * 20 + "." + "9" * 18]),
    st.integers(1, 10**38 - 1).map(lambda units: f"{units // 10**18}.{units % 10**18:018}"),
)
TRADES = st.lists(
    st.fixed_dictionaries(
        {
            "symbol": st.sampled_from(["A/AAA", "B/BBB", "C/CCC", "D/DDD"]),
            "side": st.sampled_from(SIDES),
            "source": st.sampled_from(["", "bot-1", "bot-2", "bot-3"]),
            "price": DECIMALS,
            "qty": DECIMALS,
            "fee": st.one_of(st.none(), DECIMALS),
            "ts": st.integers(0, 9).map(lambda second: f"2026-01-31T09:30:0{second}.000000Z"),
        }
    ),
    max_size=40,
)


@dataclass
class Book:
    """The reference: what is held and what it cost, and the profit of each close."""

    quantity: Fraction = Fraction(0)
    cost: Fraction = Fraction(0)
    realized: Fraction = Fraction(0)
    fees: Fraction = Fraction(0)

    def trade(self, event: Event) -> None:
        price, left = Fraction(event.price), Fraction(event.qty) * (1 if event.side == "BUY" else -1)
        self.fees += Fraction(event.fee or 0)
        if self.quantity * left < 0:
            closed = -self.quantity if abs(left) > abs(self.quantity) else left
            rest = self.quantity + closed
            # Python rounds fractions half to even.
            kept = Fraction(round(self.cost * rest / self.quantity * 10**18), 10**18) if rest else Fraction(0)
            self.realized += -closed * price - (self.cost - kept)
            self.quantity, self.cost, left = rest, kept, left - closed
        self.quantity += left
        self.cost += left * price


Books = dict[tuple[str, str | None], Book]


def keep_books(events: Iterable[Event], settings: Settings = SETTINGS) -> Books:
    """Book each trade by symbol, and by symbol and source, as far as the limits go."""
    books: Books = {}
    symbols: list[str] = list(settings.trading_symbols)
    sources: list[str] = [""]
    for event in events:
        if event.source not in sources and len(sources) <= settings.source_limit:
            sources.append(event.source)
        if event.symbol not in symbols and len(symbols) < settings.symbol_limit:
            symbols.append(event.symbol)
        if event.symbol in symbols:
            source = event.source if event.source in sources else "other"
            for key in ((event.symbol, None), (event.symbol, source)):
                books.setdefault(key, Book()).trade(event)
    return books


def read_books(positions: Positions | None) -> Books:
    assert positions is not None
    return {
        (row.symbol, row.source): Book(
            Fraction(row.position.quantity),
            Fraction(row.position.cost),
            Fraction(row.position.realized_pnl),
            Fraction(row.position.fees),
        )
        for row in positions.list_rows()
    }


def make_events(trades: Sequence[dict[str, Any]]) -> list[Event]:
    return [make_event(seq, **trade) for seq, trade in enumerate(trades, start=1)]


def count(events: Sequence[Event], sizes: Iterable[int], settings: Settings = SETTINGS) -> State:
    state, rest = State(JOURNAL_ID), list(events)
    for size in sizes:
        state.apply(rest[:size], "journal", settings)
        rest = rest[size:]
    state.apply(rest, "journal", settings)
    return state


def answer(state: State, settings: Settings = SETTINGS) -> dict[str, Any]:
    body = encode_positions(Counters(state, settings), settings)
    assert body is not None
    decoded: dict[str, Any] = json.loads(body)
    return decoded


@given(TRADES, st.lists(st.integers(1, 9), max_size=8))
def test_positions_are_those_of_the_reference_however_events_are_batched(
    trades: list[dict[str, Any]], sizes: list[int]
) -> None:
    events = make_events(trades)
    state = count(events, sizes)
    books = keep_books(events)
    assert read_books(state.positions) == books
    assert state.find_fault() is None
    assert decode_state(encode_state(state)) == state
    shown = answer(state)
    assert shown["overflow"] == state.overflow_trades
    assert len(shown["positions"]) == len(books)
    for row in shown["positions"]:
        book = books[row["symbol"], row["source"]]
        last = Fraction(row["last_price"])
        assert Fraction(row["quantity"]) == book.quantity
        assert Fraction(row["realized_pnl"]) == book.realized
        assert Fraction(row["unrealized_pnl"]) == book.quantity * last - book.cost
        assert Fraction(row["fees"]) == book.fees
        average = round(book.cost / book.quantity * 10**18) if book.quantity else None
        assert (None if row["average_price"] is None else Fraction(row["average_price"]) * 10**18) == average


@given(TRADES)
def test_realised_plus_unrealised_is_what_the_trades_brought_and_took(trades: list[dict[str, Any]]) -> None:
    """Whatever was rounded on the way."""
    events = make_events(trades)
    for row in answer(count(events, []))["positions"]:
        if row["source"] is None:
            own = [event for event in events if event.symbol == row["symbol"]]
            brought = sum(
                Fraction(event.qty) * (Fraction(row["last_price"]) - Fraction(event.price))
                * (1 if event.side == "BUY" else -1)
                for event in own
            )  # fmt: skip
            assert Fraction(row["realized_pnl"]) + Fraction(row["unrealized_pnl"]) == brought


def trade(side: str, qty: str, price: str, **more: str) -> dict[str, Any]:
    return {"side": side, "qty": qty, "price": price, **more}


@pytest.mark.parametrize(
    ("trades", "quantity", "average", "realized", "unrealized"),
    [
        ([trade("BUY", "2", "10")], "2", "10", "0", "0"),
        ([trade("BUY", "2", "10"), trade("BUY", "1", "13")], "3", "11", "0", "6"),
        ([trade("BUY", "2", "10"), trade("SELL", "1", "12")], "1", "10", "2", "2"),
        ([trade("BUY", "2", "10"), trade("SELL", "2", "12")], "0", None, "4", "0"),
        ([trade("BUY", "2", "10"), trade("SELL", "5", "12")], "-3", "12", "4", "0"),
        ([trade("SELL", "2", "10"), trade("BUY", "1", "12")], "-1", "10", "-2", "-2"),
        ([trade("SELL", "2", "10"), trade("BUY", "5", "8")], "3", "8", "4", "0"),
        # 10 / 3.1 is not a decimal: the cost of the 2 that are held is rounded, and the profit is what is left.
        (
            [trade("BUY", "3", "3"), trade("BUY", "0.1", "10"), trade("SELL", "1.1", "5")],
            "2",
            "3.225806451612903226",
            "1.951612903225806452",
            "3.548387096774193548",
        ),
        ([trade("BUY", "1", "5"), trade("SELL", "1", "0.000000000000000001")], "0", None, "-4.999999999999999999", "0"),
    ],
)
def test_positions_are_kept_by_average_cost(
    trades: list[dict[str, Any]], quantity: str, average: str | None, realized: str, unrealized: str
) -> None:
    row = answer(count(make_events(trades), []))["positions"][0]
    assert (row["quantity"], row["average_price"]) == (quantity, average)
    assert (row["realized_pnl"], row["unrealized_pnl"]) == (realized, unrealized)


def test_the_opposite_trade_takes_a_mistyped_one_back() -> None:
    mistyped = [trade("BUY", "2", "10"), trade("BUY", "200", "11"), trade("SELL", "200", "11")]
    row = answer(count(make_events(mistyped), []))["positions"][0]
    assert row["quantity"] == "2"
    # Average cost moves: the 2 that are left cost what the 202 did on average. Profit in all is as if nothing was.
    total = Fraction(row["realized_pnl"]) + Fraction(row["unrealized_pnl"])
    assert total == 2 * (Fraction(row["last_price"]) - 10)


def test_a_row_has_its_quote_its_fees_and_its_last_price() -> None:
    state = count(make_events([trade("BUY", "2", "10", symbol="X/EUR", source="bot-1", fee="0.10")] * 2), [])
    row = {
        "symbol": "X/EUR", "source": None, "quote": "EUR", "quantity": "4", "average_price": "10",
        "realized_pnl": "0", "unrealized_pnl": "0", "fees": "0.2", "last_price": "10",
    }  # fmt: skip
    since = {"overflow": 0, "after_seq": 0, "since": make_event(1).accepted_at, "last_seq": 2}
    sources = since | {"sources": [{
        "source": "bot-1", "buys": 2, "sells": 0, "first_seen": make_event(1).accepted_at,
        "last_seen": make_event(1).ts, "silence_limit": None,
    }]}  # fmt: skip
    assert answer(state) == {"positions": [row, row | {"source": "bot-1"}], **sources}


def test_a_second_source_takes_nothing_from_the_first() -> None:
    own = [trade("BUY", "2", "10", source="bot-1", fee="1"), trade("SELL", "1", "12", source="bot-1", fee="2")]
    state = count(make_events([*own, trade("SELL", "4", "11", source="bot-2", fee="4"), *own]), [1, 1, 1])
    rows = [(row["source"], row["quantity"], row["realized_pnl"], row["fees"]) for row in answer(state)["positions"]]
    assert rows == [(None, "-2", "5", "10"), ("bot-1", "2", "4", "6"), ("bot-2", "-4", "0", "4")]


def test_sources_are_listed_with_their_limits_also_those_that_never_traded() -> None:
    state = count(make_events([trade("BUY", "1", "2", source="bot-1"), trade("SELL", "1", "2")]), [])
    listed = answer(state, Settings(silence_after={"bot-9": 60, "*": 600}))["sources"]
    assert [(row["source"], row["buys"], row["sells"], row["silence_limit"]) for row in listed] == [
        ("", 0, 1, 600),
        ("bot-1", 1, 0, 600),
        ("bot-9", 0, 0, 60),
    ]
    assert [row["last_seen"] is None for row in listed] == [False, False, True]


def test_sources_past_the_limit_share_a_position_of_each_symbol() -> None:
    with mock.patch("sidecar.positions.BY_SOURCE_LIMIT", 2):
        state = count(
            make_events([trade("BUY", "1", "2", symbol=f"S{n % 3}", source=f"bot-{n}") for n in range(9)]), []
        )
    rows = [(row["symbol"], row["source"], row["quantity"]) for row in answer(state)["positions"]]
    assert [row for row in rows if row[1] is not None] == [
        ("S0", "bot-0", "1"),
        ("S0", "other", "2"),
        ("S1", "bot-1", "1"),
        ("S1", "other", "2"),
        ("S2", "other", "3"),
    ]
    assert state.find_fault() is None


@pytest.mark.parametrize("value", ["0", "1", "-1", "0.000000000000000001", "-120.5", "9" * 20 + "." + "9" * 18])
def test_a_number_is_written_with_all_its_digits(value: str) -> None:
    assert write_sum(Decimal(value)) == value
    assert write_sum(EXACT.add(Decimal(value), Decimal("0E-38"))) == value


def test_metrics_have_the_digits_of_the_answer() -> None:
    chance = random.Random(5)
    trades = [
        trade(chance.choice(SIDES), f"0.{chance.getrandbits(50)}", f"{chance.getrandbits(30)}.{chance.getrandbits(50)}")
        for _ in range(99)
    ]
    state = count(make_events(trades), [])
    row, samples = answer(state)["positions"][0], expose(state)
    assert samples["trading_position,symbol=BTCUSDT"] == float(row["quantity"])
    assert samples["trading_position_average_price,symbol=BTCUSDT"] == float(row["average_price"])
    assert samples["trading_realized_pnl,symbol=BTCUSDT"] == float(row["realized_pnl"])
    flat = expose(count(make_events([trade("BUY", "1", "2"), trade("SELL", "1", "2")]), []))
    assert flat["trading_position,symbol=BTCUSDT"] == 0
    assert "trading_position_average_price,symbol=BTCUSDT" not in flat


@pytest.mark.parametrize(
    "spoil",
    [
        lambda positions: setattr(positions.symbols["BTCUSDT"].total, "quantity", Decimal(1)),
        lambda positions: setattr(positions.symbols["BTCUSDT"].total, "cash", Decimal(10**200)),
        lambda positions: setattr(positions.symbols["BTCUSDT"].total, "cost", Decimal(-1)),
        lambda positions: setattr(positions.symbols["BTCUSDT"].total, "cost", Decimal("NaN")),
        lambda positions: setattr(positions.symbols["BTCUSDT"].total, "fees", Decimal(-1)),
        lambda positions: setattr(positions.symbols["BTCUSDT"].sources[""], "fees", Decimal(1)),
        lambda positions: setattr(positions.symbols["BTCUSDT"].sources[""], "quantity", Decimal("1e-39")),
        lambda positions: positions.symbols["BTCUSDT"].sources.clear(),
        lambda positions: positions.symbols["BTCUSDT"].sources.pop(""),
        lambda positions: positions.symbols.update({"NONE": positions.symbols["BTCUSDT"]}),
        lambda positions: positions.symbols["BTCUSDT"].sources.update({"bot-2": Position()}),
        lambda positions: setattr(positions, "rows", 3),
        lambda positions: setattr(positions, "since", "2026-13-01T00:00:00.000000Z"),
    ],
)
def test_positions_that_no_trades_lead_to_are_a_fault(spoil: Callable[[Any], object]) -> None:
    state = count(make_events([trade("BUY", "1", "2"), trade("BUY", "1", "2", source="bot-1")]), [])
    assert state.find_fault() is None
    spoil(state.positions)
    assert state.find_fault() is not None


def load(path: Path, *, positions: str) -> State:
    """Load the snapshot of ``path`` as a start does, and count what is left of the journal."""
    settings = Settings(positions=positions)
    with Journal(path / "journal.db", "normal") as journal:
        snapshots = Snapshots(path / "snapshot")
        state = snapshots.load(journal, read_checkpoint(journal, settings), settings)
        while batches := read_batches(journal, state.last_seq, 3):
            state.count(batches, "journal", settings)
        snapshots.save(Counters(state, Settings()))
    assert state.find_fault() is None
    return state


def test_positions_switched_on_are_counted_from_the_journal(tmp_path: Path) -> None:
    events = make_events([trade("BUY", "3", "7", fee="1"), trade("SELL", "1", "9"), trade("SELL", "5", "8")])
    with Journal(tmp_path / "journal.db", "normal") as journal:
        append(journal, events)
    off = load(tmp_path, positions="off")
    assert off.positions is None
    assert encode_positions(Counters(off, Settings()), Settings()) is None
    assert "trading_position" not in ",".join(expose(off))
    on = load(tmp_path, positions="on")
    assert read_books(on.positions) == keep_books(events)
    assert load(tmp_path, positions="off").positions is None


def test_positions_switched_on_after_pruning_say_since_when(tmp_path: Path) -> None:
    events = make_events([trade("BUY", "3", "7"), trade("SELL", "1", "9"), trade("SELL", "5", "8")])
    with Journal(tmp_path / "journal.db", "normal") as journal:
        fresh = append(journal, events)
        checkpoint = read_checkpoint(journal, Settings(positions="off"))
        checkpoint.apply(fresh[:2], "journal", Settings())
        journal.prune(2, encode_state(checkpoint))
    state = load(tmp_path, positions="on")
    assert read_books(state.positions) == keep_books(events[2:])
    assert state.count_trades() == 3
    shown = answer(state)
    assert (shown["after_seq"], shown["since"], shown["last_seq"]) == (2, events[2].accepted_at, 3)
    assert shown["positions"][0]["quantity"] == "-5"


def test_an_average_is_no_float() -> None:
    state = count(make_events([trade("BUY", "3", "0.1"), trade("BUY", "3", "0.2")]), [])
    assert Decimal(answer(state)["positions"][0]["average_price"]) == Decimal("0.15")

from decimal import Decimal

import pytest
from msgspec.structs import astuple

from common.decimals import read_decimal
from tests.conftest import make_trade
from webapp.cli.replay import pace
from webapp.cli.row_sender import FileTrade, ReadyRow
from webapp.cli.simulate import OTHER_START, STARTS, pace_evenly, walk
from webapp.cli.tables import print_table


def test_names_in_a_table_are_left_aligned_and_numbers_right_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([("symbol", "side", "trades", ""), ("A", "BUY", "7", "ok"), ("LONGSYMBOL", "SELL", "12345678", "")])
    assert capsys.readouterr().out.splitlines() == [
        "symbol      side    trades",
        "A           BUY          7  ok",
        "LONGSYMBOL  SELL  12345678",
    ]


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def row(second: int) -> ReadyRow:
    return ReadyRow(second, FileTrade(*astuple(make_trade(ts=f"2026-01-31T09:30:{second:02}.000000Z"))), b"{}", [])


def test_a_replay_has_the_pace_of_the_history() -> None:
    clock = Clock()
    rows = [row(0), row(4), row(2), row(10)]
    assert list(pace(rows, 2, lambda: clock.now, clock.pause)) == rows
    assert sum(clock.pauses) == 5


def test_a_walk_is_the_same_for_the_same_seed() -> None:
    assert list(walk(["A", "B"], 7, 50)) == list(walk(["A", "B"], 7, 50))
    assert list(walk(["A", "B"], 7, 50)) != list(walk(["A", "B"], 8, 50))


@pytest.mark.parametrize(
    ("symbol", "price_places", "qty_places", "start"),
    [
        ("BTCUSDT", 2, 5, STARTS["BTC"]),
        ("xbt/usd", 2, 5, STARTS["XBT"]),
        ("ETH-USDC", 2, 4, STARTS["ETH"]),
        ("SOL/USDT:USDT", 2, 3, STARTS["SOL"]),
        ("DOGEUSDT", 5, 0, STARTS["DOGE"]),
        ("XRPEUR", 4, 1, STARTS["XRP"]),
        ("ETHBTC", None, None, OTHER_START),
        ("AAPL", None, None, OTHER_START),
    ],
)
def test_a_walk_has_plausible_prices_and_quantities(
    symbol: str, price_places: int | None, qty_places: int | None, start: tuple[float, float]
) -> None:
    low, high = start
    for seed in range(50):
        for trade in walk([symbol], seed, 20):
            price, qty = Decimal(trade["price"]), Decimal(trade["qty"])
            assert Decimal(low) * Decimal("0.97") <= price <= Decimal(high) * Decimal("1.03")
            assert 1 <= price * qty <= 1_000_000
            if price_places is not None and qty_places is not None:
                assert (-int(price.as_tuple().exponent), -int(qty.as_tuple().exponent)) == (price_places, qty_places)


def test_a_walk_goes_on_from_the_last_prices() -> None:
    steps = [trade["side"] for trade in walk(["BTCUSDT", "NEW"], 7, 50)]
    onward = list(walk(["BTCUSDT", "NEW"], 7, 50, {"BTCUSDT": 20_000.0}))
    assert [trade["side"] for trade in onward] == steps
    first = next(Decimal(trade["price"]) for trade in onward if trade["symbol"] == "BTCUSDT")
    assert abs(first - 20_000) < 200


@pytest.mark.parametrize("last", [1e-18, 3e-7, 0.5, 9e17, 99999999999999999999.0])
def test_a_walk_from_any_price_is_a_decimal_that_is_accepted(last: float) -> None:
    for trade in walk(["X"], 1, 100, {"X": last}):
        for name in ("price", "qty"):
            assert Decimal(read_decimal(trade[name])) > 0


def test_a_simulation_has_its_rate() -> None:
    clock = Clock()
    entries = list(pace_evenly(walk(["A"], 1, 11), 5, "run", lambda: clock.now, clock.pause))
    assert [entry.key for entry in entries] == [f"run-{number}" for number in range(1, 12)]
    assert sum(clock.pauses) == pytest.approx(2)

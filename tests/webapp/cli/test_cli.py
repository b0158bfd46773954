from decimal import Decimal
from pathlib import Path

import click
import pytest

from common.decimals import read_decimal
from webapp.cli.client import Entry
from webapp.cli.replay import pace, read_rows
from webapp.cli.simulate import OTHER_START, STARTS, pace_evenly, walk
from webapp.cli.tables import print_table

HEAD = "ts,symbol,side,price,qty\n"


def test_rows_have_their_text_and_line(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    path.write_text("\ufeff" + HEAD + "2026-01-31T09:30:00Z,BTC,BUY,1.10,2\n2026-01-31T09:30:01Z,BTC,SELL,1.20\n")
    first, second = read_rows(path)
    fields = {"ts": "2026-01-31T09:30:00Z", "symbol": "BTC", "side": "BUY", "price": "1.10", "qty": "2"}
    assert (first.label, first.trade) == (f"{path}:2", fields)
    again, _ = read_rows(path)
    assert again.key == first.key != second.key
    assert read_rows(path, "another run")[0].key != first.key
    assert second.trade["qty"] == ""


def test_columns_that_may_be_missing_or_empty_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    path.write_text("seq,fee,ts,symbol,side,price,qty,source\n7,0.10,now,BTC,BUY,1,2,bot\n8,,now,BTC,BUY,1,2,\n")
    required = {"ts": "now", "symbol": "BTC", "side": "BUY", "price": "1", "qty": "2"}
    assert [entry.trade for entry in read_rows(path)] == [required | {"source": "bot", "fee": "0.10"}, required]


@pytest.mark.parametrize(("text", "message"), [("", "no column ts"), ("ts,symbol,side\n", "no column price, qty")])
def test_a_missing_column_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "trades.csv"
    path.write_text(text)
    with pytest.raises(click.ClickException, match=message):
        read_rows(path)


def test_a_file_that_is_not_utf_8_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "trades.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(click.ClickException, match="UTF-8"):
        read_rows(path)


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


def row(second: int | str) -> Entry:
    ts = f"2026-01-31T09:30:{second:02}Z" if isinstance(second, int) else second
    return Entry("label", {"ts": ts})


def test_a_replay_has_the_pace_of_the_history() -> None:
    clock = Clock()
    rows = [row(0), row(4), row("not a time"), row(2), row(10)]
    assert [entry.trade["ts"] for entry in pace(rows, 2, lambda: clock.now, clock.pause)] == [
        r.trade["ts"] for r in rows
    ]
    assert sum(clock.pauses) == 5


def test_a_replay_at_full_speed_has_no_pauses() -> None:
    clock = Clock()
    assert len(list(pace([row(0), row(59)], None, lambda: clock.now, clock.pause))) == 2
    assert clock.pauses == []


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

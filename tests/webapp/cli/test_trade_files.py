"""Files of trades in the forms that people have: read, named by keys, or rejected with line and column."""

import errno
import gzip
import os
import random
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import msgspec
import pytest

from tests.webapp.conftest import read_csv
from webapp.cli.occurrences import Occurrences
from webapp.cli.text_file import LINE_MAX
from webapp.cli.trade_times import read_time

HEAD = "ts,symbol,side,price,qty\n"
ROWS = [f"2026-01-31T09:30:0{n}Z,BTC,{'BUY' if n % 2 else 'SELL'},1.{n}0,2\n" for n in range(5)]
TEXT = HEAD + "".join(ROWS)

BINANCE = "".join(
    f"{100 + n},27000.5{n},0.25,6750.1,{1_700_000_000_000 + n},{'True' if n % 2 else 'False'},True\n" for n in range(3)
)
AGGREGATED = "".join(
    f"{900 + n},27000.5{n},0.25,{n},{n},{1_700_000_000_000_000 + n},{'true' if n % 2 else 'false'},true\n"
    for n in range(3)
)
FUTURES = "id,price,qty,quote_qty,time,is_buyer_maker\n7,2.5,4,10,1700000000000,true\n8,2.6,4,10,1700000000001,false\n"
KRAKEN = (
    '"txid","ordertxid","pair","time","type","ordertype","price","cost","fee","vol","misc"\n'
    '"TA-1","O-1","XBTUSDT","2025-11-10 17:23:53.9719","buy","limit","105433.60000","29.1","0.07","0.00027625",""\n'
    '"TA-2","O-2","XBTUSDT","2025-11-10 17:24:17.8461","sell","limit","105410.10000","5.2","0.01","0.00005000",""\n'
)
KRAKEN_ROWS = "105433.6,0.5,1762795433.9712345,b,l,,801\n105433.7,0.6,1762795434.1,s,m,,802\n"

Fields = tuple[str, str, str, str, str]


def read(tmp_path: Path, text: str | bytes, name: str = "trades.csv", **wanted: Any) -> list[Fields]:  # noqa: ANN401 - the fields of Wanted
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    rows, outcome = read_csv(path, **wanted)
    assert outcome.messages == []
    return [(row.trade.ts, row.trade.symbol, row.trade.side, row.trade.price, row.trade.qty) for row in rows]


def read_keys(tmp_path: Path, text: str | bytes, run: str = "", **wanted: Any) -> list[str]:  # noqa: ANN401 - the fields of Wanted
    path = tmp_path / "any name.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [msgspec.json.decode(row.text)["key"] for row in read_csv(path, run, **wanted)[0]]


def reject(tmp_path: Path, text: str | bytes, **wanted: Any) -> str:  # noqa: ANN401 - the fields of Wanted
    path = tmp_path / "trades.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        _, outcome = read_csv(path, **wanted)
    except click.ClickException as error:
        return error.message
    return "\n".join(outcome.messages)


def test_binance_trades_are_read_with_the_symbol_of_the_file_name(tmp_path: Path) -> None:
    for text in (BINANCE, "id,price,qty,quote_qty,time,is_buyer_maker,is_best_match\n" + BINANCE):
        assert read(tmp_path, text, "BTCUSDT-trades-2023-11-14.csv") == [
            ("2023-11-14T22:13:20.000000Z", "BTCUSDT", "BUY", "27000.50", "0.25"),
            ("2023-11-14T22:13:20.001000Z", "BTCUSDT", "SELL", "27000.51", "0.25"),
            ("2023-11-14T22:13:20.002000Z", "BTCUSDT", "BUY", "27000.52", "0.25"),
        ]
    futures = read(tmp_path, FUTURES, symbol="eth", format="binance-trades")
    assert [row[1:4] for row in futures] == [("ETH", "SELL", "2.5"), ("ETH", "BUY", "2.6")]


def test_binance_aggregated_trades_are_read_with_times_in_microseconds(tmp_path: Path) -> None:
    assert read(tmp_path, AGGREGATED, "ETHUSDT-aggTrades-2025-01.csv") == [
        ("2023-11-14T22:13:20.000000Z", "ETHUSDT", "BUY", "27000.50", "0.25"),
        ("2023-11-14T22:13:20.000001Z", "ETHUSDT", "SELL", "27000.51", "0.25"),
        ("2023-11-14T22:13:20.000002Z", "ETHUSDT", "BUY", "27000.52", "0.25"),
    ]


def test_kraken_trades_are_read_in_utc(tmp_path: Path) -> None:
    assert read(tmp_path, KRAKEN) == [
        ("2025-11-10T17:23:53.971900Z", "XBTUSDT", "BUY", "105433.60000", "0.00027625"),
        ("2025-11-10T17:24:17.846100Z", "XBTUSDT", "SELL", "105410.10000", "0.00005000"),
    ]
    rows, _ = read_csv(tmp_path / "trades.csv")
    assert [row.trade.fee for row in rows] == ["0.07", "0.01"]
    assert read(tmp_path, KRAKEN_ROWS, symbol="XBTUSDT") == [
        ("2025-11-10T17:23:53.971234Z", "XBTUSDT", "BUY", "105433.6", "0.5"),
        ("2025-11-10T17:23:54.100000Z", "XBTUSDT", "SELL", "105433.7", "0.6"),
    ]


def test_an_id_that_json_would_escape_is_in_the_digest_of_its_key_only(tmp_path: Path) -> None:
    ids = ["TA-1", 'T"1', "T\\1", "T\\u0041", "T é"]
    text = "".join(KRAKEN.splitlines(keepends=True)[:1]) + "".join(
        '"{}",'.format(each.replace('"', '""')) + KRAKEN.splitlines()[1].partition(",")[2] + "\n" for each in ids
    )
    keys = read_keys(tmp_path, text)
    assert [key[:-33] for key in keys] == ["TA-1", "", "", "", ""]
    assert len(set(keys)) == 5


def test_any_other_header_is_mapped(tmp_path: Path) -> None:
    text = "Fill Time;Fill_Price;Size;B/S;Account\n2026-01-31 09:30:00; 1.50 ;2;Buy;a\n2026-01-31 09:30:01;1.60;3;s;b\n"
    columns = {"ts": "fill time", "price": "Fill_Price", "qty": "SIZE", "side": "b/s", "source": "Account"}
    wanted: dict[str, Any] = {"columns": columns, "symbol": "BRK B", "zone": ZoneInfo("Europe/Berlin")}
    assert read(tmp_path, text, **wanted) == [
        ("2026-01-31T08:30:00.000000Z", "BRK B", "BUY", "1.50", "2"),
        ("2026-01-31T08:30:01.000000Z", "BRK B", "SELL", "1.60", "3"),
    ]
    assert "no such column; it has Fill Time, Fill_Price" in reject(tmp_path, text, columns={"price": "Price"})


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("\n", "\r\n").encode(),
        ("\ufeff" + TEXT).encode(),
        TEXT.encode("utf-16"),
        TEXT.replace(",", ";").encode(),
        TEXT.replace(",", "\t").encode(),
        TEXT.replace(",", " , ").encode(),
        TEXT.replace(HEAD, HEAD.upper()).encode(),
        TEXT.replace("ts,", "TS,").encode().replace(b"\n", b"\n\n"),
        gzip.compress(TEXT.encode(), mtime=0),
        gzip.compress(HEAD.encode(), mtime=0) + gzip.compress("".join(ROWS).encode(), mtime=0),
        TEXT.replace("BTC", '"BTC"').rstrip("\n").encode(),
    ],
)
def test_a_file_that_was_saved_in_another_form_has_the_same_keys(tmp_path: Path, text: bytes) -> None:
    assert read_keys(tmp_path, text) == read_keys(tmp_path, TEXT)


def test_a_repaired_grown_or_split_file_keeps_the_keys_of_its_other_rows(tmp_path: Path) -> None:
    keys = read_keys(tmp_path, TEXT)
    assert len(set(keys)) == 5
    repaired = read_keys(tmp_path, TEXT.replace("1.20", "1.25"))
    assert [new == old for new, old in zip(repaired, keys, strict=True)] == [True, True, False, True, True]
    assert read_keys(tmp_path, TEXT + ROWS[0].replace("09:", "10:"))[:5] == keys
    assert read_keys(tmp_path, HEAD + "".join(ROWS[3:])) == keys[3:]
    assert not set(read_keys(tmp_path, TEXT, run="again")) & set(keys)


def test_the_names_of_rows_are_in_the_order_of_their_times_or_ids(tmp_path: Path) -> None:
    # So that few pages of the journal's index change with each batch.
    for text, wanted in ((TEXT, {}), (BINANCE, {"symbol": "A"})):
        keys = read_keys(tmp_path, text, **wanted)
        assert keys == sorted(keys)


def test_equal_rows_of_one_file_are_all_kept(tmp_path: Path) -> None:
    twins = HEAD + ROWS[0] * 3 + ROWS[1] + ROWS[0]
    keys = read_keys(tmp_path, twins)
    assert len(set(keys)) == 5
    assert read_keys(tmp_path, twins) == keys


def test_a_row_with_an_id_is_named_by_it(tmp_path: Path) -> None:
    keys = read_keys(tmp_path, BINANCE, symbol="A")
    assert read_keys(tmp_path, BINANCE.replace("27000", "27001"), symbol="A") == keys
    assert not set(read_keys(tmp_path, BINANCE, symbol="B")) & set(keys)
    assert read_keys(tmp_path, "id,price,qty,quote_qty,time,is_buyer_maker,x\n" + BINANCE, symbol="A") == keys


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: it is empty"),
        ("\n\n", "line 1: it is empty"),
        (HEAD, "line 1: no row follows the column names"),
        ("a,b\n1,2\n", "no column ts, symbol, side, price, qty in a, b"),
        (HEAD + "x" * (LINE_MAX + 10), "line 2: longer than"),
        (HEAD + ROWS[0] + "\0\0\0", "line 3: it has a zero byte"),
        (HEAD.encode() + b"\xff\xfe", "line 2: not in utf-8"),
        (gzip.compress(TEXT.encode(), mtime=0)[:-20], "the gzip data is broken"),
        (b"\x1f\x8brubbish", "the gzip data is broken"),
        (HEAD + '"open' + "\n" * 10, "line 11: column ts: open: expected a time"),
        (HEAD + "2026-01-31T09:30:00,BTC,BUY,1,2\n", "line 2: column ts: 2026-01-31T09:30:00: it has no offset"),
        (HEAD + "yesterday,BTC,BUY,1,2\n", "line 2: column ts: yesterday: expected a time"),
        (HEAD + "2026-01-31T09:30:00Z,BTC,BUY,-1,2\n", "line 2: column price: "),
        (HEAD.upper() + "2026-01-31T09:30:00Z,BTC,BUY,1,\n", "line 2: column QTY: "),
        (
            HEAD.replace(",", ";") + "2026-01-31T09:30:00Z;BTC;BUY;1,5;2\n",
            'line 2: column price: "1,5" is not accepted',
        ),
        (HEAD + "2026-01-31T09:30:00Z,BTC,HOLD,1,2\n", "line 2: column side: "),
        (HEAD + "99999999999999999999,BTC,BUY,1,2\n", "line 2: column ts: "),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line_and_column(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert message in reject(tmp_path, text)


def test_a_wrong_format_and_a_missing_symbol_are_named(tmp_path: Path) -> None:
    assert "no column symbol" in reject(tmp_path, BINANCE)
    assert "line 1 is not of the format kraken-trades" in reject(tmp_path, BINANCE, format="kraken-trades")


def test_a_folder_or_a_missing_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.csv"):
        with pytest.raises(click.ClickException, match=str(path)):
            read_csv(path)


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trades.csv"
    path.write_text(TEXT)
    states = iter([(1, 1), (1, 2)])
    monkeypatch.setattr("webapp.cli.text_file.TextFile._read_state", lambda _: next(states))
    with pytest.raises(click.ClickException, match="changed while it was read"):
        read_csv(path)


@pytest.mark.parametrize(
    ("text", "unit", "zone", "time"),
    [
        ("1700000000", None, None, "2023-11-14T22:13:20.000000Z"),
        ("1700000000.25", None, None, "2023-11-14T22:13:20.250000Z"),
        ("1700000000123", None, None, "2023-11-14T22:13:20.123000Z"),
        ("1700000000123456", None, None, "2023-11-14T22:13:20.123456Z"),
        ("1700000000123456789", None, None, "2023-11-14T22:13:20.123456Z"),
        ("1700000000", "ms", None, "1970-01-20T16:13:20.000000Z"),
        ("2026-07-01 12:00", None, "America/New_York", "2026-07-01T16:00:00.000000Z"),
        ("2026-07-01T12:00:00.1234567", None, "UTC", "2026-07-01T12:00:00.123456Z"),
        ("2026-07-01T12:00:00+0200", None, "UTC", "2026-07-01T10:00:00.000000Z"),
    ],
)
def test_a_time_is_read_by_its_digits_its_offset_or_its_zone(
    text: str, unit: str | None, zone: str | None, time: str
) -> None:
    assert read_time(text, unit, ZoneInfo(zone) if zone else None) == time


def test_equal_digests_are_counted_also_when_most_are_in_the_file() -> None:
    chance = random.Random(7)
    few, many = [chance.getrandbits(64) for _ in range(700)], [chance.getrandbits(64) for _ in range(4000)]
    # Some share their bit with another one, and some are the first or the last of their run.
    digests = [*many, *few, *few, *(digest ^ 1 for digest in many), *few, 0, 2**64 - 1, 0]
    occurrences, seen = Occurrences(recent=600), Counter[int]()
    for digest in digests:
        seen[digest] += 1
        assert occurrences.add(digest) == seen[digest]
    occurrences.close()


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    occurrences = Occurrences(recent=1)
    occurrences.add(1)

    def fail() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.TemporaryFile", fail)
    with pytest.raises(click.ClickException, match=r"a temporary file in .*No space left on device"):
        occurrences.add(2)


def test_the_totals_of_a_mapped_file_are_exact(tmp_path: Path) -> None:
    text = "when,px,amount,way\n" + "".join(
        f"17000000{n:02},1.{n:018},0.1,{'b' if n % 3 else 's'}\n" for n in range(60)
    )
    columns = {"ts": "when", "price": "px", "qty": "amount", "side": "way"}
    path = tmp_path / "fills.csv"
    path.write_text(text)
    rows, outcome = read_csv(path, columns=columns, symbol="X")
    outcome.count(rows, 0)
    assert outcome.totals["X", "BUY"].notional == sum(Decimal(f"1.{n:018}") / 10 for n in range(60) if n % 3)
    assert outcome.totals["X", "SELL"].trades == 20

import csv
import io
import json
import random
import re
from datetime import timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.credentials import READ
from common.event import TRADE_FIELDS
from common.journal import block_ranges
from common.journal.store import Journal
from common.tally import EXACT
from common.timestamps import format_timestamp, now
from tests.conftest import append, make_event, make_trade
from tests.webapp.conftest import read_csv
from webapp import search
from webapp.cli.audit import total_journal
from webapp.credentials import ANYONE
from webapp.routes import blotter
from webapp.services import DOWNLOADS_LIMIT, services


@pytest.fixture
def filled(journal: Journal) -> Journal:
    append(
        journal,
        [
            make_event(
                0,
                symbol="AB"[n % 2],
                side="BUY" if n % 3 else "SELL",
                price=f"{n + 1}.50",
                accepted_at=format_timestamp(now() - timedelta(seconds=1000 - n)),
            )
            for n in range(250)
        ],
    )
    return journal


def numbers(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'href="/trades/[^"]+">(\d+)</a>', page)]


def test_trades_are_listed_newest_first_over_pages(client: FlaskClient, filled: Journal) -> None:
    seen: list[int] = []
    path = "/blotter?symbol=a&limit=40"
    while path:
        page = client.get(path).text
        seen += numbers(page)
        link = page.partition('rel="next"')[0].rpartition('href="')[2] if 'rel="next"' in page else ""
        path = link.partition('"')[0].replace("&amp;", "&")
    assert seen == [event.seq for event in reversed(filled.read_after(0)) if event.symbol == "A"]


def test_filters_by_side_and_time_leave_the_matching_trades(client: FlaskClient, filled: Journal) -> None:
    events = filled.read_after(0)
    since, until = events[100].accepted_at, events[200].accepted_at
    wanted = [event.seq for event in events[100:200] if event.side == "SELL"]
    query = {"side": "sell", "since": since, "until": until, "limit": "1000"}
    assert numbers(client.get("/blotter", query_string=query).text) == wanted[::-1]
    del query["limit"]
    sent: Any = json.loads(client.get("/blotter.json", query_string=query).data)
    assert [event["seq"] for event in sent] == wanted
    rows = list(csv.DictReader(io.StringIO(client.get("/blotter.csv", query_string=query).text)))
    assert [int(row["seq"]) for row in rows] == wanted
    assert rows[0]["price"].endswith(".50")


@pytest.mark.parametrize("block", [1, 7, 4096])
def test_since_and_until_are_exact_after_any_steps_of_the_clock(
    client: FlaskClient, journal: Journal, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(block_ranges, "BLOCK", block)
    monkeypatch.setattr(search, "SLICE", 9)
    monkeypatch.setattr(blotter, "CHUNK", 5)
    rng = random.Random(block)
    times = [format_timestamp(now() + timedelta(seconds=rng.uniform(-300, 300))) for _ in range(200)]
    append(journal, [make_event(0, symbol="AB"[n % 2], accepted_at=accepted_at) for n, accepted_at in enumerate(times)])
    for symbol in (None, "A"):
        since, until = sorted(rng.sample(times, 2))
        matching = [
            event.seq
            for event in journal.read_after(0)
            if since <= event.accepted_at < until and symbol in (None, event.symbol)
        ]
        query = {"since": since, "until": until} | ({"symbol": symbol} if symbol else {})
        sent: Any = client.get("/blotter.json", query_string=query).json
        assert [event["seq"] for event in sent] == matching
        assert numbers(client.get("/blotter", query_string=query | {"limit": "1000"}).text) == matching[::-1]
        assert numbers(client.get("/blotter", query_string=query | {"limit": "3"}).text) == matching[::-1][:3]
        before = {"before": str(matching[-2]), "limit": "3"}
        assert numbers(client.get("/blotter", query_string=query | before).text) == matching[::-1][2:5]


def test_downloads_have_all_trades_in_order(
    client: FlaskClient, filled: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blotter, "CHUNK", 7)
    answer = client.get("/blotter.json")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="trades.json"'
    assert [event["seq"] for event in json.loads(answer.data)] == list(range(1, filled.last_seq() + 1))
    lines = client.get("/blotter.csv").text.splitlines()
    assert lines[0] == "seq,id,accepted_at,ts,symbol,side,price,qty,source,ref,fee"
    assert len(lines) == 251


def read_reversals(page: str) -> list[dict[str, str]]:
    """Read the forms that reverse the trades of a page, in its order."""
    forms = re.findall(r'<details class="reverse">(.*?)</details>', page, re.DOTALL)
    fields = (re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form) for form in forms)
    return [{name: unescape(value) for name, value in each} for each in fields]


def test_a_trade_is_reversed_once_by_the_opposite_one_that_refers_to_it(client: FlaskClient, journal: Journal) -> None:
    mistyped = make_trade(symbol="A&B", side="BUY", price="10.50", qty="200", source="grid")
    (first,) = append(journal, [mistyped])
    (form,) = read_reversals(client.get("/blotter").text)
    # The right price is far from the mistyped one.
    append(journal, [make_trade(symbol="A&B", price="105")])
    for _ in range(2):
        assert client.post("/trade", data=form).status_code == 303
    _, _, second = journal.read_after(0)
    assert (second.side, second.ref) == ("SELL", first.id)
    same = ("symbol", "price", "qty", "ts", "source")
    assert [getattr(second, name) for name in same] == [getattr(first, name) for name in same]
    # Its own reversal is another trade.
    back, _, _ = read_reversals(client.get("/blotter").text)
    assert client.post("/trade", data=back).status_code == 303
    assert [event.side for event in journal.read_after(0) if event.price != "105"] == ["BUY", "SELL", "BUY"]


def test_who_may_not_send_is_offered_no_reversal(app: Flask, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    append(journal, [make_trade()])
    viewer = ANYONE._replace(scopes=frozenset({READ}))
    monkeypatch.setattr(services(app).credentials, "identify", lambda *_: viewer)
    page = app.test_client().get("/blotter").text
    assert numbers(page) == [1]
    assert read_reversals(page) == []


def test_the_blotter_shows_and_filters_by_source(client: FlaskClient, journal: Journal) -> None:
    for source, fields in (("grid", {"ref": "<b>7", "fee": "0.0750"}), ("", {}), ("grid-2", {})):
        append(journal, [make_trade(source=source, **fields)])
    page = client.get("/blotter?source=grid").text
    assert numbers(page) == [1]
    for cell in (">grid</td>", "&lt;b&gt;7</td>", "0.0750</td>"):
        assert cell in page
    assert 'value="grid"' in page
    assert "blotter.csv?source=grid" in page
    assert "None" not in client.get("/blotter").text
    downloaded: Any = client.get("/blotter.json?source=grid-2").json
    assert [event["seq"] for event in downloaded] == [3]


REFS = ["=1+1", "+1", "-1", "@x", "'", "'a'", "a=1", 'a,"b"', " lead", "№"]
CELLS = ["'=1+1", "'+1", "'-1", "'@x", "''", "''a'", "a=1", 'a,"b"', " lead", "№"]


def test_a_downloaded_csv_can_be_replayed_to_the_same_trades(
    client: FlaskClient, journal: Journal, tmp_path: Path
) -> None:
    append(journal, [make_trade(ref=ref, fee="0.10", source="a") for n, ref in enumerate(REFS)])
    append(journal, [make_trade()])
    text = client.get("/blotter.csv").text
    assert [row["ref"] for row in csv.DictReader(io.StringIO(text))] == [*CELLS, ""]
    path = tmp_path / "trades.csv"
    path.write_text(text, newline="")
    rows, _ = read_csv(path)
    for row, event in zip(rows, journal.read_after(0), strict=True):
        assert client.post("/trade", json=msgspec.json.decode(msgspec.json.encode(row.trade))).status_code == 201
        kept = journal.read_after(journal.last_seq() - 1)[0]
        assert [getattr(kept, name) for name in TRADE_FIELDS] == [getattr(event, name) for name in TRADE_FIELDS]


def test_downloads_of_an_empty_journal_are_empty(client: FlaskClient) -> None:
    assert client.get("/blotter.json").json == []
    assert client.get("/blotter.csv").text.count("\n") == 1
    assert "No trades yet" in client.get("/blotter").text
    assert "No trades match the filters" in client.get("/blotter?side=BUY").text


@pytest.mark.parametrize(
    "query", ["symbol=a+", "side=hold", "source=other", "since=yesterday", "limit=0", "before=x", "colour=red"]
)
def test_a_bad_filter_is_named(client: FlaskClient, query: str) -> None:
    page = client.get(f"/blotter?{query}")
    assert page.status_code == 422
    assert "expected" in page.text
    answer: Any = client.get(f"/blotter.csv?{query}")
    assert answer.status_code == 422
    assert list(answer.json["errors"]) == [query.split("=", maxsplit=1)[0]]


def test_a_download_above_the_limit_is_rejected_and_counted_until_one_ends(
    client: FlaskClient, app: Flask, filled: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blotter, "CHUNK", 7)
    downloads = [client.get("/blotter.csv", buffered=False) for _ in range(DOWNLOADS_LIMIT)]
    rejected: Any = client.get("/blotter.json")
    assert (rejected.status_code, rejected.json["reason"]) == (503, "downloads_limit")
    assert rejected.headers["Retry-After"] == "1"
    registry = services(app).metrics.registry
    assert registry.get_sample_value("webapp_downloads_rejected_total", {"reason": "limit"}) == 1
    assert client.get("/blotter.csv?since=x").status_code == 422
    downloads.pop().close()
    assert client.get("/blotter.json").status_code == 200
    assert downloads[0].text.count("\n") == filled.last_seq() + 1


def read_totals(page: str) -> list[list[str]]:
    """Read the rows of the totals: currency, trades, buys, bought, sells, sold, notional."""
    found = re.search(r'<table class="totals">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    rows = re.findall(r"<tr>(.*?)</tr>", found[1], re.DOTALL) if found else []
    return [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in rows]


def test_the_totals_of_a_filter_are_those_of_the_audit(client: FlaskClient, journal: Journal) -> None:
    rng = random.Random(21)
    for number in range(300):
        fields = {"symbol": rng.choice(["BTCUSDT", "ETHUSDT", "BTCJPY"]), "side": rng.choice(["BUY", "SELL"])}
        price, qty = f"{rng.randrange(1, 10**9)}.{number:09}", f"0.{rng.randrange(1, 10**18):018}"
        append(journal, [make_trade(**fields, price=price, qty=qty, source=rng.choice(["grid", ""]))])
    audited = total_journal(journal, journal.last_seq())
    (bought, sold) = (audited["BTCJPY", side] for side in ("BUY", "SELL"))
    ((quote, trades, buys, *amounts),) = read_totals(client.get("/blotter?symbol=BTCJPY&limit=1").text)
    assert (quote, int(trades), int(buys)) == ("JPY", bought.trades + sold.trades, bought.trades)
    found = [Decimal(amounts[0]), Decimal(amounts[2]), Decimal(amounts[3])]
    assert found == [bought.notional, sold.notional, EXACT.add(bought.notional, sold.notional)]
    rows = read_totals(client.get("/blotter").text)
    assert sum(int(row[1]) for row in rows) == 300
    assert [row[0] for row in rows] == ["USDT", "JPY"]
    grid = sum(int(row[1]) for row in read_totals(client.get("/blotter?source=grid&side=SELL").text))
    assert grid == len(client.get("/blotter.json?source=grid&side=SELL").json or [])


def test_a_total_that_reads_not_all_says_so(
    client: FlaskClient, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(journal, [make_trade() for _ in range(10)])
    monkeypatch.setattr(search, "SLICE", 4)
    monkeypatch.setattr(search, "TOTALLED", 8)
    page = client.get("/blotter").text
    assert "Of the newest" in page
    assert [row[1] for row in read_totals(page)] == ["6"]


def test_the_blotter_filters_by_reference_and_by_the_time_of_the_trade(client: FlaskClient, journal: Journal) -> None:
    for day, ref in ((30, "84213-A"), (31, "x"), (29, "84213-B")):
        append(journal, [make_trade(ts=f"2025-12-{day}T09:30:00.000000Z", ref=ref)])
    for query, seqs in {
        "ref=84213-A": [1],
        "since=2025-12-30&time=ts": [2, 1],
        "until=2025-12-30&time=ts": [3],
        "since=2025-12-30T09:30&until=2025-12-31T09:30:00.001&time=ts": [2, 1],
        "since=2025-12-30&until=2025-12-31": [],
        "since=2025-12-30T10:30:00%2B01:00&time=ts&limit=1": [2],
    }.items():
        assert numbers(client.get(f"/blotter?{query}").text) == seqs
        assert client.get(f"/blotter?{query}&side=SELL").status_code == 200
    page = client.get("/blotter?since=2025-12-30&time=ts&symbol=BTCUSDT").text
    assert 'type="datetime-local" step="any" id="since" name="since" value="2025-12-30T00:00:00.000"' in page
    # The presets keep the other filters.
    assert re.search(r'href="/blotter\?symbol=BTCUSDT&amp;time=ts&amp;since=[0-9-]{10}">Today</a>', page)
    assert '<datalist id="symbols"><option value="BTCUSDT"></datalist>' in page
    assert client.get("/blotter?time=x").status_code == 422


def test_a_file_is_named_after_its_filters(client: FlaskClient) -> None:
    for query, name in {
        "": "trades.csv",
        "symbol=btc/usdt&side=sell&since=2026-01-31T09:30": "trades-btc_usdt-sell-2026_01_31T09_30.csv",
        "symbol=%E2%82%AE&ref=a%22b": "trades-_-a_b.csv",
    }.items():
        with client.get(f"/blotter.csv?{query}") as answer:
            assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'

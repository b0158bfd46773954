"""Names and numbers as people's tools send them: the same in every answer, page, file, label and feed."""

import csv
import io
import json
import re
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from playwright.sync_api import Browser, expect

from common.csv_cells import unmark
from common.event import TRADE_FIELDS, Event
from common.journal.store import Journal
from tests.system.prometheus import Prometheus
from tests.system.stack import Stack
from tests.waiting import wait_for

SYMBOLS: Final = {
    "BTCUSDT": "BTCUSDT",
    "ethusdt": "ETHUSDT",
    "BTC/USDT:USDT": "BTC/USDT:USDT",
    "BTC/USD:BTC-241227": "BTC/USD:BTC-241227",
    "BTC-PERPETUAL": "BTC-PERPETUAL",
    "btc_usdt": "BTC_USDT",
    "XBT/USD": "XBT/USD",
    "tBTCF0:USTF0": "tBTCF0:USTF0",
    "kPEPE": "kPEPE",
    "1000SHIBUSDT": "1000SHIBUSDT",
    "@107": "@107",
    "USD₮": "USD₮",
    "usd₮": "USD₮",
    "^GSPC": "^GSPC",
    "ES=F": "ES=F",
    "EURUSD=X": "EURUSD=X",
    "M&M.NS": "M&M.NS",
    "BRK B": "BRK B",
    "BRK  B": "BRK  B",
    "BRK.B": "BRK.B",
    "ES1!": "ES1!",
    "NASDAQ:AAPL": "NASDAQ:AAPL",
    "$SPX.X": "$SPX.X",
    "#NIFTY": "#NIFTY",
    "600519.SS": "600519.SS",
    "0700.HK": "0700.HK",
    "7203": "7203",
    "AAPL  240621C00190000": "AAPL  240621C00190000",
    "SPXW 240621 P5300": "SPXW 240621 P5300",
    "-BTC": "-BTC",
    "+1": "+1",
    "'quoted'": "'QUOTED'",
    'say "A"': 'say "A"',
    "back\\nslash": "BACK\\NSLASH",
    "A,B;C": "A,B;C",
    "<b>&amp;</B>": "<b>&amp;</B>",
    "{{x}}=~.*": "{{X}}=~.*",
    "贵州茅台": "贵州茅台",
    "ЛУКОЙЛ": "ЛУКОЙЛ",
    "أرامكو": "أرامكو",
    "e\u0301toile": "\u00e9TOILE",
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v": "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
    "0x2260FAC5E5542a773Aa44fBCfeDf7C193bc2C599": "0x2260FAC5E5542a773Aa44fBCfeDf7C193bc2C599",
    "😀" * 64: "😀" * 64,
}

DECIMALS: Final = {
    "1": "1",
    "0.250": "0.250",
    "1.0": "1.0",
    "100": "100",
    "27123.45": "27123.45",
    "0.1": "0.1",
    "0.30000000000000004": "0.30000000000000004",
    "1e-7": "0.0000001",
    "1E-7": "0.0000001",
    "2.5e-8": "0.000000025",
    "1e-18": "0.000000000000000001",
    "9.99e-16": "0.000000000000000999",
    "1e3": "1000",
    "1E+3": "1000",
    "1.50e1": "15.0",
    "1.50e2": "150",
    "12345e-2": "123.45",
    "100e-2": "1.00",
    "1e19": "10000000000000000000",
    "0.000000000000000001": "0.000000000000000001",
    "99999999999999999999": "99999999999999999999",
    "99999999999999999999.999999999999999999": "99999999999999999999.999999999999999999",
    "12345678901234567890.123456789012345678": "12345678901234567890.123456789012345678",
    "18446744073709551616": "18446744073709551616",
    "9007199254740993": "9007199254740993",
    "0.123456789012345678": "0.123456789012345678",
    "1234567.000": "1234567.000",
    "1.000000000000000000": "1.000000000000000000",
    "5e-1": "0.5",
    "3.14159265358979323": "3.14159265358979323",
}

NUMBERS: Final = list(DECIMALS)


@pytest.fixture(scope="module")
def table(shared: Stack) -> tuple[Stack, list[Event]]:
    """Return the stack with a trade for each symbol and each decimal, sent as text and as a number."""
    sent: list[tuple[str, str, str, str]] = []
    for index, (given, symbol) in enumerate(SYMBOLS.items()):
        price = NUMBERS[index % len(NUMBERS)]
        answer = post(shared, f'{{"symbol":{json.dumps(given)},"side":"buy","price":"{price}","qty":{price}}}')
        assert (answer["symbol"], answer["price"], answer["qty"]) == (symbol, DECIMALS[price], DECIMALS[price])
        sent.append((symbol, "BUY", answer["price"], answer["qty"]))
    for number, kept in DECIMALS.items():
        answer = post(shared, f'{{"symbol":"N","side":"SELL","price":{number},"qty":"{number}"}}')
        assert (answer["price"], answer["qty"]) == (kept, kept)
        sent.append(("N", "SELL", kept, kept))
    events = read_events(shared)
    assert [(each.symbol, each.side, each.price, each.qty) for each in events] == sent
    return shared, events


def post(stack: Stack, body: str) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{stack.web_url}/trade", data=body.encode(), headers=headers, timeout=60)
    assert answer.status_code == 201, answer.text
    event: dict[str, Any] = answer.json()
    assert requests.get(f"{stack.web_url}{answer.headers['Location']}", timeout=60).json() == event
    return event


def get(stack: Stack, path: str, **query: str) -> requests.Response:
    answer = requests.get(f"{stack.web_url}{path}", params=query, timeout=60)
    assert answer.status_code == 200, answer.text
    answer.encoding = "utf-8"
    return answer


def read_events(stack: Stack, after: int = 0) -> list[Event]:
    with Journal(Path(stack.settings["JOURNAL_PATH"])) as journal:
        return journal.read_after(after)


def read_feed(stack: Stack, count: int, **query: str) -> list[dict[str, Any]]:
    url = f"{stack.web_url}/feed"
    found: list[dict[str, Any]] = []
    with requests.get(url, params={"after": "0"} | query, stream=True, timeout=60) as answer:
        kind = ""
        for line in answer.iter_lines():
            kind = line.decode().removeprefix("event: ") if line.startswith(b"event: ") else kind
            if line.startswith(b"data: ") and kind == "trade":
                found.append(json.loads(line.removeprefix(b"data: ")))
            if len(found) == count:
                break
    return found


def write(event: Event) -> list[object]:
    return [getattr(event, name) for name in TRADE_FIELDS]


def total(events: list[Event]) -> dict[tuple[str, str], tuple[int, float, float]]:
    """Add up in whole numbers, so that nothing can round before the end."""
    sums: dict[tuple[str, str], tuple[int, int, int]] = {}
    for event in events:
        price, quantity = (int(Decimal(text).scaleb(18)) for text in (event.price, event.qty))
        trades, quantities, notionals = sums.get((event.symbol, event.side), (0, 0, 0))
        sums[event.symbol, event.side] = (trades + 1, quantities + quantity, notionals + price * quantity)
    return {key: (trades, q / 10**18, n / 10**36) for key, (trades, q, n) in sums.items()}


def test_names_and_numbers_are_the_same_in_lists_downloads_and_the_feed(table: tuple[Stack, list[Event]]) -> None:
    stack, events = table
    listed = get(stack, "/trades", limit="1000").json()["trades"]
    assert [[each[name] for name in TRADE_FIELDS] for each in listed] == list(map(write, events))
    assert get(stack, "/blotter.json").json() == listed
    assert read_feed(stack, len(events)) == listed
    rows = list(csv.DictReader(io.StringIO(get(stack, "/blotter.csv").text, newline="")))
    assert [[unmark(row[name]) for name in ("symbol", "side", "price", "qty")] for row in rows] == [
        [each.symbol, each.side, each.price, each.qty] for each in events
    ]
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]


def test_every_symbol_is_found_by_its_name(table: tuple[Stack, list[Event]]) -> None:
    stack, events = table
    for given, symbol in SYMBOLS.items():
        matching = [each for each in events if each.symbol == symbol]
        seqs = [each.seq for each in matching]
        assert [each["seq"] for each in get(stack, "/trades", symbol=given).json()["trades"]] == seqs
        assert [each["seq"] for each in read_feed(stack, len(seqs), symbol=given)] == seqs
        page = get(stack, "/blotter", symbol=given).text
        assert [unescape(cell) for cell in re.findall(r'<td class="symbol">(.*?)</td>', page)] == [symbol] * len(seqs)
        link = unescape(re.findall(r'href="(/blotter\.json\?[^"]*)"', page)[0])
        assert [each["seq"] for each in get(stack, link).json()] == seqs
        market = get(stack, "/market", symbol=given, window="86400", step="3600").json()
        assert market["symbol"] == symbol
        assert sum(bar["trades"] for bar in market["bars"]) == len(seqs)
    assert {each["symbol"] for each in market["symbols"]} == {*SYMBOLS.values(), "N"}


def test_metrics_have_every_symbol_and_exact_sums(table: tuple[Stack, list[Event]], tmp_path: Path) -> None:
    stack, events = table
    stack.wait_counted(len(events))
    expected = total(events)
    names = ("trading_trades_total", "trading_quantity_total", "trading_notional_total")

    def read() -> dict[tuple[str, str], tuple[float, ...]]:
        samples = stack.samples()
        return {
            (symbol, side): tuple(samples[name, frozenset({("symbol", symbol), ("side", side)})] for name in names)
            for symbol, side in expected
        }

    assert read() == expected
    assert "the balance closes" in stack.run_cli("audit").stdout
    with Prometheus(tmp_path, stack.settings["SIDECAR_HTTP_PORT"]) as prometheus:
        wait_for(lambda: "N" in prometheus.list_values("symbol"), "Prometheus has scraped the symbols")
        assert set(prometheus.list_values("symbol")) == {symbol for symbol, _ in expected}
    stack.stop()
    stack.start().renew()
    assert read() == expected


def test_a_replay_of_the_download_is_identical(table: tuple[Stack, list[Event]], tmp_path: Path) -> None:
    stack, events = table
    with Stack(tmp_path) as other:
        other.start()
        file = tmp_path / "trades.csv"
        file.write_bytes(get(stack, "/blotter.csv").content)
        done = other.run_cli("replay", "--format", "csv", str(file))
        assert done.returncode == 0, done.stderr
        assert list(map(write, read_events(other))) == list(map(write, events))
        assert get(other, "/blotter.csv").text.count("\n") == len(events) + 1
        assert "the balance closes" in other.run_cli("audit").stdout


def test_the_desk_shows_every_symbol_and_its_chart(table: tuple[Stack, list[Event]], browser: Browser) -> None:
    stack, events = table
    context = browser.new_context(base_url=stack.web_url)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto("/")
    expect(page.locator("#symbols button")).to_have_count(len({each.symbol for each in events}))
    shown = page.locator("#symbols button").evaluate_all("buttons => buttons.map(button => button.innerText)")
    assert set(shown) == {each.symbol for each in events}
    for symbol in shown:
        last = [each for each in events if each.symbol == symbol][-1]
        page.locator("#symbols button").nth(shown.index(symbol)).click()
        expect(page.locator("#chart-symbol")).to_have_text(symbol, use_inner_text=True)
        expect(page.locator("#chart-price")).to_have_text(last.price)
        page.locator("[name=symbol]").fill(symbol)
        known = page.locator("#known-symbols option").evaluate_all("options => options.map(option => option.value)")
        assert symbol in known
    expect(page.locator("#tile-notional")).to_have_text(re.compile(r"^[0-9.]+E[0-9]+ other · "))
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    context.close()
    assert errors == []

"""The chart in a real browser: exact values, a view that stays, never empty by accident, and no late answer."""

import csv
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, Route, expect

from common.journal.store import Journal
from common.timestamps import format_timestamp, now
from tests.conftest import ROOT, append, make_event, require
from tests.system.stack import TRADE, Stack
from tests.waiting import wait_for

SAMPLE = ROOT.parent / "shared/data/ethusdt-2023-02-02.csv"


@pytest.fixture
def page(browser: Browser, shared: Stack) -> Iterator[Page]:
    with browser.new_context(base_url=shared.web_url) as context:
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        assert errors == []


def open_chart(page: Page, query: str) -> None:
    page.goto(f"/?{query}")
    expect(page.locator("#status-feed")).to_contain_text("live")


def read_table(page: Page) -> list[list[str]]:
    rows: list[list[str]] = page.locator("#bars tbody").evaluate(
        "(body) => Array.from(body.rows, (row) => Array.from(row.cells, (cell) => cell.textContent))"
    )
    return rows


def test_the_legend_has_every_digit_of_the_trades_and_follows_them(page: Page, shared: Stack) -> None:
    first, last = "0.000000000013", "12345678901234567890.123456789012345678"
    shared.post(TRADE | {"symbol": "DIGITS", "price": first, "qty": "0.1"})
    open_chart(page, "symbol=DIGITS&interval=1h&window=7d")
    legend = page.locator("#chart-legend")
    expect(legend).to_contain_text(f"O {first}H {first}L {first}C {first}V 0.1▲ 1 trade, 100% bought")
    shared.post(TRADE | {"symbol": "DIGITS", "side": "SELL", "price": last, "qty": "0.2"})
    expect(legend).to_contain_text(f"H {last}L {first}C {last}V 0.3▲ 2 trades, 33% bought")
    page.reload()
    expect(legend).to_contain_text(f"O {first}H {last}L {first}C {last}V 0.3▲ 2 trades, 33% bought")


def test_without_trades_in_the_window_the_newest_ones_are_shown_and_it_says_so(page: Page, shared: Stack) -> None:
    at = now() - timedelta(hours=3)
    with Journal(Path(shared.settings["JOURNAL_PATH"])) as journal:
        for minutes in (0, 600):
            accepted_at = format_timestamp(at - timedelta(minutes=minutes))
            append(journal, [make_event(0, symbol="QUIET", price=str(5 + minutes), accepted_at=accepted_at)])
    open_chart(page, "symbol=QUIET")
    expect(page.locator("#chart-legend")).to_contain_text("C 5")
    expect(page.locator("#chart-note")).to_contain_text("Last trade 3 h ago; showing ")
    page.get_by_role("button", name="Table").click()
    # The bars before those in view were read too, over ten hours without a trade.
    wait_for(lambda: [row[4] for row in read_table(page)] == ["5", "605"], "older bars are listed")


def test_trades_replayed_by_their_own_times_are_the_bars_of_those_times(page: Page, shared: Stack) -> None:
    sample = Path(require(str(SAMPLE) if SAMPLE.exists() else None, str(SAMPLE)))
    open_chart(page, "symbol=ETHUSDT&time=ts")
    with sample.open() as file:
        rows = list(csv.DictReader(file))
    for first in range(0, len(rows), 250):
        assert requests.post(f"{shared.web_url}/trades", json=rows[first : first + 250], timeout=60).status_code == 201
    page.get_by_role("button", name="Table").click()
    expect(page.locator("#bars caption")).to_contain_text("of 42 bars", timeout=20_000)
    query = {"symbol": "ETHUSDT", "time": "ts", "step": "5"}
    bars: list[dict[str, Any]] = requests.get(f"{shared.web_url}/market/bars", query, timeout=60).json()["bars"]
    names = ("open", "high", "low", "close")
    exact = [[*(bar[name] for name in names), str(bar["trades"])] for bar in reversed(bars)]
    wait_for(lambda: [[*row[1:5], row[7]] for row in read_table(page)] == exact, "the table has the server's values")


def test_a_late_answer_is_not_shown(page: Page, shared: Stack) -> None:
    for symbol, price in (("LATE", "1"), ("PROMPT", "2")):
        shared.post(TRADE | {"symbol": symbol, "price": price})
    open_chart(page, "symbol=PROMPT")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/market/bars?symbol=LATE*", hold)
    page.locator("#symbols").get_by_role("button", name="LATE").click()
    wait_for(lambda: bool(page.evaluate("1")) and len(held) > 0, "the first click is on its way")
    page.locator("#symbols").get_by_role("button", name="PROMPT").click()
    legend = page.locator("#chart-legend")
    expect(legend).to_contain_text("C 2")
    with page.expect_response(lambda response: "/market/bars?symbol=LATE" in response.url):
        held[0].continue_()
    shared.post(TRADE | {"symbol": "PROMPT", "price": "3"})
    expect(legend).to_contain_text("C 3")
    expect(page.locator("#chart-symbol")).to_have_text("PROMPT")


STAY = """async () => {
  const { Panel } = await import("/static/desk/panel.js");
  const panel = new Panel("/market/bars");
  panel.choice.symbol = "A";
  panel.answer = { since: 0, complete: true };
  panel.begun = panel.older = true;
  let seq = 0;
  const add = (time) => panel.add([{
    seq: seq += 1, symbol: "A", side: "BUY", price: "1", qty: "1", accepted_at: new Date(time * 1000).toISOString(),
  }]);
  const scale = panel.chart.chart.timeScale();
  const read = () => [scale.getVisibleRange().from, scale.getVisibleRange().to];
  const settle = () => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); });
  for (let n = 0; n < 300; n += 1) add(10_000 + n * 5);
  panel.draw();
  await settle();
  scale.setVisibleLogicalRange({ from: 100, to: 150 });
  await settle();
  const views = [read()];
  for (const change of [
    () => { add(11_500); panel.draw(); },
    () => { for (let n = 0; n < 20; n += 1) add(11_600 + n * 5); panel.draw(); },
    () => { panel.moved = true; panel.draw(); },
    () => {
      const bar = { ...panel.bars.list[0], time: 9000 };
      panel.bars.prepend([bar, { ...bar, time: 9005 }]);
      panel.chart.set(panel.bars.list, 5);
    },
    () => panel.show({ ...panel.choice, zone: "local" }),
  ]) {
    change();
    await settle();
    views.push(read());
  }
  return views;
}"""


def test_the_view_stays_where_a_person_left_it(page: Page) -> None:
    open_chart(page, "")
    views = page.evaluate(STAY)
    assert views == [[10_500, 10_750]] * 6


def test_a_theme_and_a_palette_are_remembered_on_every_page(page: Page) -> None:
    open_chart(page, "")
    page.get_by_label("Theme").select_option("dark")
    page.get_by_label("Palette").select_option("grey")
    page.goto("/blotter")
    expect(page.get_by_label("Theme")).to_have_value("dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(colour) == "rgb(13, 19, 25)"
    page.get_by_label("Theme").select_option("light")
    assert page.evaluate(colour) == "rgb(243, 245, 247)"

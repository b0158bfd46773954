"""The desk in real browsers: live updates across workers and restarts, keyboard use, and clock changes."""

import contextlib
import itertools
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, Request, Route, expect

from common.journal.store import Journal
from common.quotes import CURRENCIES, find_quote
from common.timestamps import format_timestamp, now
from tests.conftest import append, make_event
from tests.system.stack import TRADE, Stack
from tests.waiting import wait_for

ROW = "#trades tbody tr:not(.pending)"


@pytest.fixture
def desk(browser: Browser, shared: Stack) -> Iterator[Page]:
    context = browser.new_context(base_url=shared.web_url)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto("/")
    expect(page.locator("#status-feed")).to_contain_text("live")
    yield page
    context.close()
    assert errors == []


def shown(page: Page) -> list[int]:
    texts: list[str] = page.locator(f"{ROW} td:first-child").all_inner_texts()
    return [int(text) for text in texts]


def test_positions_follow_the_trades(desk: Page, shared: Stack) -> None:
    row = desk.locator("#holdings tbody tr", has_text="HELD/EUR")
    expect(row).to_have_count(0)
    shared.post(symbol="HELD/EUR", price="10.5", qty="2")
    expect(row.locator("td")).to_have_text(["HELD/EUR", "2", "10.5", "0 EUR", "0 EUR"])
    shared.post(symbol="HELD/EUR", side="SELL", price="12", qty="3.000000000000000001")
    expect(row.locator("td")).to_have_text(["HELD/EUR", "-1.000000000000000001", "12", "0 EUR", "3 EUR"])
    expect(desk.locator("#holdings-note")).to_contain_text("3 EUR")
    shared.post(symbol="HELD/EUR", price="13", qty="1.000000000000000001")
    expect(row).to_have_count(0)
    expect(desk.locator("#holdings-note")).to_contain_text("2 EUR")


def test_a_trade_sent_by_form_appears_in_browsers_of_every_worker(browser: Browser, desk: Page, shared: Stack) -> None:
    workers = shared.workers()
    assert len(workers) == 2
    contexts: list[BrowserContext] = []
    others: list[Page] = []
    for worker in workers:
        with shared.only(worker):
            contexts.append(browser.new_context(base_url=shared.web_url))
            others.append(contexts[-1].new_page())
            others[-1].goto("/")
            expect(others[-1].locator("#status-feed")).to_contain_text("live")
    desk.locator("[name=symbol]").fill("across")
    desk.locator("[name=price]").fill("12.50")
    desk.locator("[name=qty]").fill("3")
    desk.locator("#send").click()
    expect(desk.locator("#notices")).to_contain_text("BUY 3 ACROSS at 12.50")
    for page in (desk, *others):
        expect(page.locator(ROW).first).to_contain_text("ACROSS")
        expect(page.locator(ROW).first).to_contain_text("12.50")
    wait_for(lambda: shared.total("webapp_feed_subscribers") == len(others) + 1, "all feeds are counted")
    for context in contexts:
        context.close()


SYMBOLS = [
    *("NEWEUR", "neweur", "BTCUSDT", "BTCUSD", "EUR", "kPEPE", "ETHBTC", "XUSDTUSD", "stra\u00dfeusd", "\u0130USD", ""),
    *("SOL/usdt:USDT", "A/ eur :B", "/USD", "A/", "A/:X", "A/B/C", " /USD", "B:A/USD"),
]


def test_a_symbol_that_is_new_has_its_currency_at_once(desk: Page, shared: Stack) -> None:
    # The summary is not read again.
    desk.route("**/market?*", lambda route: route.abort())
    shared.post(TRADE | {"symbol": "NEWEUR", "price": "3", "qty": "5"})
    expect(desk.locator("#symbols tr", has_text="NEWEUR")).to_contain_text("15 EUR")


def test_the_page_finds_the_quote_currency_by_the_rule_of_the_server(desk: Page) -> None:
    found = desk.evaluate(
        """async ([symbols, currencies]) => {
          const { findQuote } = await import("/static/desk/names.js");
          return symbols.map((symbol) => findQuote(symbol, currencies));
        }""",
        [SYMBOLS, CURRENCIES],
    )
    assert found == [find_quote(symbol, CURRENCIES) for symbol in SYMBOLS]


def test_a_trade_sent_by_form_has_its_source_ref_and_fee(desk: Page, shared: Stack) -> None:
    desk.locator("[name=symbol]").fill("details")
    desk.locator("[name=price]").fill("1")
    desk.locator("[name=qty]").fill("2")
    desk.get_by_text("Reference, fee").click()
    desk.locator("[name=source]").fill("grid")
    desk.locator("[name=fee]").fill("-1")
    expect(desk.locator("#curl")).to_contain_text('"source":"grid","fee":"-1"}')
    desk.get_by_text("Reference, fee").click()
    desk.locator("#send").click()
    expect(desk.locator("#fee-error")).to_contain_text("0 or more")
    expect(desk.locator("#fee-error")).to_be_visible()
    desk.locator("[name=fee]").fill("0.05")
    desk.locator("#send").click()
    expect(desk.locator("#notices")).to_contain_text("BUY 2 DETAILS at 1")
    (trade,) = requests.get(f"{shared.web_url}/trades?symbol=details", timeout=60).json()["trades"]
    assert (trade["source"], trade["ref"], trade["fee"]) == ("grid", None, "0.05")
    expect(desk.locator("[name=source]")).to_have_value("grid")
    expect(desk.locator("[name=fee]")).to_have_value("")


def test_tiles_symbols_and_chart_follow_the_trades(desk: Page, shared: Stack) -> None:
    for price in ("10", "12", "11"):
        shared.post(TRADE | {"symbol": "CHART", "price": price, "qty": "1000000"})
    row = desk.locator("#symbols tr", has_text="CHART")
    expect(row).to_contain_text("11")
    row.get_by_role("button").click()
    expect(desk.locator("#chart-symbol")).to_have_text("CHART")
    expect(desk.locator("#chart")).to_have_attribute("aria-label", re.compile("CHART: last price 11, 3 trades"))
    expect(desk.locator("#chart canvas").first).to_be_visible()
    expect(desk.locator("#tile-buys")).to_contain_text("%")
    expect(desk.locator("#status-web")).to_contain_text("up")
    expect(desk.locator("#status-sidecar")).to_contain_text("up")


DRAW = """async (groups) => {
  const { Panel } = await import("/static/desk/panel.js");
  const panel = new Panel("/market/bars");
  panel.choice.symbol = "A";
  panel.answer = { since: 0, complete: true };
  let seq = 0;
  for (const group of groups) {
    panel.add(group.map(([time, price]) => ({
      seq: seq += 1, symbol: "A", side: "BUY", price: `${price}`, qty: "1",
      accepted_at: new Date(time * 1000).toISOString(),
    })));
    panel.draw();
  }
  const drawn = panel.chart.prices.data().filter((bar) => "open" in bar);
  const volumes = panel.chart.volumes.data().map((bar) => [bar.time, bar.value]);
  return [drawn.map((bar) => [bar.time, bar.open, bar.high, bar.low, bar.close]), volumes];
}"""


@pytest.mark.parametrize("at_once", [False, True])
def test_the_chart_continues_when_the_clock_steps_back(desk: Page, *, at_once: bool) -> None:
    hour = 3600
    trades = [[100, 1], [105, 2], [105 + hour, 50], [110 + hour, 60], [105, 3], [110, 4], [115, 5]]
    bars, volumes = desk.evaluate(DRAW, [trades] if at_once else [[trade] for trade in trades])
    assert bars == [[100, 1, 1, 1, 1], [105, 2, 3, 2, 3], [110, 4, 4, 4, 4], [115, 5, 5, 5, 5]]
    assert volumes == [[100, 1], [105, 2], [110, 1], [115, 1]]


def test_a_late_trade_is_drawn_in_its_own_bar(desk: Page) -> None:
    bars, _ = desk.evaluate(DRAW, [[[100, 1], [110, 2]], [[105, 9]], [[105, 7]], [[110, 3]], [[90, 4]]])
    assert bars[-1] == [90, 4, 4, 4, 4]
    bars, _ = desk.evaluate(DRAW, [[[100, 1], [110, 2]], [[105, 9]], [[105, 7]], [[110, 3]]])
    assert bars == [[100, 1, 1, 1, 1], [105, 9, 9, 7, 7], [110, 2, 3, 2, 3]]


def test_the_newest_trade_is_shown_after_the_clock_was_an_hour_fast(desk: Page, shared: Stack) -> None:
    fast = format_timestamp(now() + timedelta(hours=1))
    with Journal(Path(shared.settings["JOURNAL_PATH"])) as journal:
        for price in range(1, 7):
            event = make_event(0, symbol="FAST", price=str(price), qty="9000000000", accepted_at=fast)
            append(journal, [event])
    row = desk.locator("#symbols tr", has_text="FAST")
    row.get_by_role("button").click()
    expect(desk.locator("#chart-symbol")).to_have_text("FAST")
    for price in range(101, 117):
        shared.post(TRADE | {"symbol": "FAST", "price": str(price), "qty": "1"})
    expect(desk.locator("#chart-price")).to_have_text("116")
    expect(row).to_contain_text("116")
    desk.reload()
    desk.locator("#symbols tr", has_text="FAST").get_by_role("button").click()
    expect(desk.locator("#chart-price")).to_have_text("116")
    expect(desk.locator("#chart")).to_have_attribute("aria-label", re.compile("FAST: last price 116, 16 trades"))


MAKE_TRADES: Final = """async () => {
      const { TradeList } = await import("/static/desk/trades.js");
      const table = document.createElement("table");
      table.createTBody();
      const [news, pause] = [document.createElement("button"), document.createElement("button")];
      const template = document.getElementById("trade-row");
      const trades = new TradeList({ table, template, empty: document.createElement("p"), news, pause });"""


def test_the_trades_are_listed_in_order_of_seq(desk: Page) -> None:
    order = desk.evaluate(
        MAKE_TRADES
        + """
      const trade = { ts: "2026-01-31T09:30:00.000000Z", symbol: "A", side: "BUY", price: "1", qty: "1" };
      for (const seqs of [[3], [1, 2], [5, 4]]) {
        trades.add(seqs.map((seq) => ({ ...trade, seq, id: `${seq}` })));
        trades.draw();
      }
      return Array.from(table.tBodies[0].rows, (row) => row.dataset.seq);
    }"""
    )
    assert order == ["5", "4", "3", "2", "1"]


def test_many_trades_at_once_are_written_into_the_rows_that_are_there(desk: Page) -> None:
    seqs, texts, same, again = desk.evaluate(
        MAKE_TRADES
        + """
      const trade = { ts: "2026-01-31T09:30:00.000000Z", price: "1", qty: "1" };
      const make = (seq) => ({ ...trade, seq, id: `id-${seq}`, symbol: `S${seq}`, side: seq % 2 ? "BUY" : "SELL" });
      const add = (first, last) => {
        trades.add(Array.from({ length: last - first + 1 }, (_, index) => make(first + index)));
        trades.draw();
      };
      const rows = () => Array.from(table.tBodies[0].rows);
      add(1, 30);
      add(32, 60);
      const before = new Set(rows());
      add(70, 94);
      add(31, 31);
      const listed = rows();
      const row = listed[0];
      const [link, side] = [row.querySelector("a"), row.querySelector("span")];
      const texts = [link.textContent, link.pathname, row.cells[2].textContent, side.className];
      // What was dropped is not taken for one that is listed.
      const again = trades.shown.has(1);
      const kept = listed.filter((each) => before.has(each)).length;
      return [listed.map((each) => Number(each.dataset.seq)), texts, kept, again];
    }"""
    )
    expected = [*range(94, 69, -1), *range(60, 35, -1)]
    assert seqs == expected
    assert texts == ["94", "/trades/id-94", "S94", "side side-sell"]
    assert same == 50
    assert again is False


def read_markup(page: Page) -> str:
    markup: str = page.locator(ROW).first.evaluate("""(row) => {
      const copy = row.cloneNode(true);
      copy.removeAttribute("class");
      for (const part of copy.querySelectorAll("[data-field]")) {
        for (const name in part.dataset) delete part.dataset[name];
      }
      return copy.outerHTML.replaceAll("\\n", "");
    }""")
    return markup


def test_a_live_row_is_the_row_that_the_page_shows_after_a_reload(desk: Page, shared: Stack) -> None:
    event = shared.post(TRADE | {"symbol": 'L<i>&"', "side": "SELL"}).json()
    expect(desk.locator(ROW).first).to_have_attribute("data-seq", str(event["seq"]))
    # It is there to be read: as wide as its card, and so is what is above it.
    for part in (".trades .scroll", ".trades .choices"):
        assert desk.locator(part).evaluate("part => part.clientWidth") > 100
    live = read_markup(desk)
    desk.reload()
    assert read_markup(desk) == live


def test_a_double_click_is_one_trade(desk: Page, shared: Stack) -> None:
    before = shared.journalled()
    posts: list[str] = []
    desk.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
    desk.locator("[name=symbol]").fill("DOUBLE")
    desk.locator("[name=price]").fill("1")
    desk.locator("[name=qty]").fill("1")
    desk.locator("#send").dblclick()
    expect(desk.locator("#notices")).to_contain_text("1 DOUBLE at 1")
    # The second click may also come when the first trade is accepted.
    desk.locator("#send").hover()
    desk.mouse.down(click_count=2)
    desk.mouse.up(click_count=2)
    desk.locator("[name=price]").fill("1")
    desk.locator("#send").click()
    expect(desk.locator("#notices")).to_contain_text(f"Accepted as #{before + 2}")
    assert shared.journalled() == before + 2
    assert len(posts) == 2


def test_a_sent_trade_is_listed_as_pending_until_it_is_accepted(desk: Page, shared: Stack) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    desk.route("**/trade", hold)
    desk.locator("[name=symbol]").fill("PENDING")
    desk.locator("[name=price]").fill("2")
    desk.locator("[name=qty]").fill("4")
    desk.keyboard.press("Enter")
    pending = desk.locator("#trades tr.pending")
    expect(pending).to_contain_text("sending")
    expect(pending).to_contain_text("PENDING")
    assert len(held) == 1
    held[0].continue_()
    expect(desk.locator(ROW).first).to_contain_text("PENDING")
    expect(pending).to_have_count(0)
    assert shown(desk)[0] == shared.journalled()
    assert len(set(shown(desk))) == len(shown(desk))


def test_a_rejected_trade_is_removed_and_its_errors_are_shown(desk: Page, shared: Stack) -> None:
    before = shared.journalled()
    desk.locator("[name=symbol]").fill("BTC\u200bUSDT")
    desk.keyboard.press("Enter")
    expect(desk.locator("#symbol-error")).to_contain_text(r'"BTC\u200bUSDT" is not accepted; expected')
    expect(desk.locator("#qty-error")).to_contain_text("expected a decimal")
    expect(desk.locator("#notices")).to_contain_text("Rejected: please look at the marked fields.")
    expect(desk.locator("[name=symbol]")).to_be_focused()
    expect(desk.locator("#trades tr.pending")).to_have_count(0)
    desk.locator("[name=symbol]").fill("FIXED")
    desk.locator("[name=price]").fill("1")
    desk.locator("[name=qty]").fill("1")
    desk.keyboard.press("Enter")
    expect(desk.locator("#notices")).to_contain_text("1 FIXED at 1")
    expect(desk.locator("#symbol-error")).to_be_empty()
    expect(desk.locator("#symbol-error")).to_be_hidden()
    assert shared.journalled() == before + 1


def test_the_desk_is_usable_by_keyboard_only(desk: Page, shared: Stack) -> None:
    before = shared.journalled()
    desk.keyboard.type("keyed")
    desk.keyboard.press("Alt+s")
    for text in ("7", "2"):
        desk.keyboard.press("Tab")
        if text == "7":
            desk.keyboard.press("Tab")
        desk.keyboard.type(text)
    desk.keyboard.press("Enter")
    expect(desk.locator("#notices")).to_contain_text("SELL 2 KEYED at 7")
    expect(desk.locator("[name=price]")).to_be_focused()
    desk.keyboard.type("8")
    desk.keyboard.press("Tab")
    desk.keyboard.type("3")
    desk.keyboard.press("Enter")
    expect(desk.locator("#notices")).to_contain_text("SELL 3 KEYED at 8")
    assert shared.journalled() == before + 2


def hide(page: Page, *, hidden: bool) -> None:
    script = "value => { Object.defineProperty(document, 'hidden', { value, configurable: true });"
    page.evaluate(f"{script} document.dispatchEvent(new Event('visibilitychange')); }}", hidden)


def test_a_hidden_tab_keeps_receiving(desk: Page, shared: Stack) -> None:
    hide(desk, hidden=True)
    shared.accept(5)
    last = shared.journalled()
    wait_for(lambda: shown(desk)[:5] == list(range(last, last - 5, -1)), "the list has every trade")
    expect(desk.locator("#status-feed")).to_contain_text("live")


def test_the_rate_does_not_depend_on_the_clock_of_the_browser(browser: Browser, shared: Stack) -> None:
    with browser.new_context(base_url=shared.web_url) as context:
        page = context.new_page()
        page.add_init_script("const now = Date.now; Date.now = () => now() + 3_600_000;")
        page.goto("/")
        expect(page.locator("#status-feed")).to_contain_text("live")
        shared.accept(5)
        # Up to five trades in at least a second.
        expect(page.locator("#tile-rate")).to_have_text(re.compile(r"^(0\.[1-9]|[1-5]\.\d)$"))


def test_the_trades_after_a_summary_of_an_empty_journal_are_shown(browser: Browser, shared: Stack) -> None:
    shared.post(TRADE | {"symbol": "MISSED"})
    nothing: dict[str, object] = {"symbols": [], "symbol": None, "bars": []}
    empty = nothing | {"since": format_timestamp(now()), "last_seq": 0, "complete": True, "step": 5}
    with browser.new_context(base_url=shared.web_url) as context:
        page = context.new_page()
        page.route("**/market?*", lambda route: route.fulfill(json=empty))
        page.goto("/")
        expect(page.locator("#symbols tr", has_text="MISSED")).to_be_visible()


def test_a_summary_that_is_older_than_the_page_is_not_shown(browser: Browser, shared: Stack) -> None:
    shared.post(TRADE | {"symbol": "OLDER", "qty": "20000000000"})
    seq = shared.journalled()
    rows = [
        {"symbol": name, "trades": 1, "buys": 1, "buy_notional": 1, "quantity": 1, "notional": 1, "last_price": "1"}
        for name in ("OLDER", "OTHER")
    ]
    answers = [(seq, rows), (seq - 1, rows[1:]), (seq, rows)]

    def answer(route: Route) -> None:
        last_seq, symbols = answers.pop(0)
        nothing: dict[str, object] = {"symbol": "OLDER", "bars": [], "since": format_timestamp(now()), "step": 5}
        route.fulfill(json=nothing | {"symbols": symbols, "last_seq": last_seq, "complete": True})

    with browser.new_context(base_url=shared.web_url) as context:
        page = context.new_page()
        page.route("**/market?*", answer)
        page.goto("/")
        row = page.locator("#symbols tr", has_text="OLDER")
        expect(page.locator("#status-feed")).to_contain_text("live")
        row.get_by_role("button").click()
        wait_for(lambda: bool(page.evaluate("1")) and answers == [], "the summary was read again")
        expect(row).to_be_visible()


READ_FEED = """async (blocks) => {
  const { Feed } = await import("/static/desk/feed.js");
  const messages = [];
  let tasks = 0;
  const count = new MessageChannel();
  count.port1.onmessage = () => { tasks += 1; count.port2.postMessage(null); };
  const ended = new Promise((resolve) => {
    const text = blocks.map(([type, data]) => `id: 1\\nevent: ${type}\\ndata: ${JSON.stringify(data)}\\n\\n`).join("");
    window.fetch = async () => new Response(new ReadableStream({ start: (controller) => {
      // A character of two bytes, and an event, may arrive in parts.
      const bytes = new TextEncoder().encode(text);
      const cut = bytes.indexOf(0xc3) + 1 || 40;
      for (const part of [bytes.slice(0, cut), bytes.slice(cut)]) controller.enqueue(part);
      controller.close();
    } }));
    count.port2.postMessage(null);
    const feed = new Feed({ url: "/feed", staleMs: 60_000, after: 4, onMessage: (message) => {
      messages.push([tasks, message]);
      if (message.state === "reconnecting") { feed.close(); resolve(); }
    } });
  });
  await ended;
  count.port1.close();
  return messages.filter(([, message]) => message.from !== undefined)
    .map(([task, { from, trades }]) => [task, from, trades?.map(({ seq }) => seq) ?? "heartbeat"]);
}"""


def test_trades_that_arrive_together_are_handled_together_and_in_order(desk: Page) -> None:
    events = [["trade", {"seq": seq, "symbol": "\u00e9"}] for seq in (5, 6, 7)]
    events += [["heartbeat", {"last_seq": 7}], ["trade", {"seq": 9}]]
    found = [(after, seqs) for _, after, seqs in desk.evaluate(READ_FEED, events)]
    assert [each for each in found if each[1] == "heartbeat"] == [(7, "heartbeat")]
    lists = [each for each in found if each[1] != "heartbeat"]
    assert [seq for _, seqs in lists for seq in seqs] == [5, 6, 7, 9]
    assert [after for after, _ in lists] == [4, *(seqs[-1] for _, seqs in lists[:-1])]
    assert found[-1] == (7, [9])
    assert len(lists) <= 3


def test_trades_that_wait_are_handled_in_many_short_tasks(desk: Page) -> None:
    found = desk.evaluate(READ_FEED, [["trade", {"seq": seq}] for seq in range(5, 1005)])
    assert [seq for _, _, seqs in found for seq in seqs] == list(range(5, 1005))
    assert max(len(seqs) for _, _, seqs in found) == 100
    tasks = [task for task, _, _ in found]
    assert len(set(tasks)) == len(tasks)


def test_a_frame_draws_one_part(desk: Page) -> None:
    in_frames, drawn = desk.evaluate("""async () => {
      const { Redraw } = await import("/static/desk/redraw.js");
      let waiting = [];
      window.requestAnimationFrame = (call) => waiting.push(call);
      window.cancelAnimationFrame = (number) => { waiting[number - 1] = () => {}; };
      const drawn = [];
      const parts = [1, 2, 3].map((name) => new Redraw(() => drawn.push(name), 0));
      for (const part of parts) part.ask();
      const inFrames = [];
      while (new Set(drawn).size < parts.length) {
        await new Promise((resolve) => { setTimeout(resolve); });
        const before = drawn.length;
        const frame = waiting;
        waiting = [];
        for (const call of frame) call();
        inFrames.push(drawn.length - before);
      }
      return [inFrames, drawn];
    }""")
    assert sorted(drawn) == [1, 2, 3]
    assert max(in_frames) <= 1
    # The frame after a drawing is free.
    assert all(0 in pair for pair in itertools.pairwise(in_frames))


def test_the_symbols_that_are_kept_are_bounded_and_the_totals_have_all(desk: Page) -> None:
    kept, first, newest, trades = desk.evaluate("""async () => {
      const { Totals } = await import("/static/desk/totals.js");
      const totals = new Totals();
      const add = (symbol) => totals.add({ symbol, side: "BUY", price: "2", accepted_at: "" }, 2, 1);
      for (let n = 0; n < 2500; n += 1) { add(`S${n}`); add("AGAIN"); }
      return [totals.symbols.size, totals.symbols.has("S0"), totals.symbols.get("AGAIN").trades, totals.trades];
    }""")
    assert (kept, first, newest, trades) == (2000, False, 2500, 5000)


def test_selecting_a_symbol_again_loses_no_trade(desk: Page, shared: Stack) -> None:
    def select(symbol: str) -> None:
        with desk.expect_response(lambda response: f"symbol={symbol}" in response.url):
            desk.locator("#symbols button", has_text=symbol).click()

    for symbol in ("BACK", "FORTH"):
        shared.post(TRADE | {"symbol": symbol, "qty": "2000000"})
        expect(desk.locator("#symbols button", has_text=symbol)).to_be_visible()
    select("BACK")
    shared.post(TRADE | {"symbol": "BACK"})
    expect(desk.locator("#chart")).to_have_attribute("aria-label", re.compile("BACK: .* 2 trades"))
    select("FORTH")
    select("BACK")
    expect(desk.locator("#chart")).to_have_attribute("aria-label", re.compile("BACK: .* 2 trades"))


def test_a_restart_of_the_web_process_causes_no_gap_and_no_duplicate(browser: Browser, cold: Stack) -> None:
    cold.start("web")
    cold.start("sidecar")
    context = browser.new_context(base_url=cold.web_url)
    page = context.new_page()
    opened: list[Request] = []
    page.on("request", lambda request: opened.append(request) if "/feed?" in request.url else None)
    page.goto("/")
    expect(page.locator("#status-feed")).to_contain_text("live")
    for _ in range(2):
        cold.accept(5)
        cold.find("web").kill()
        cold.stop("web")
        expect(page.locator("#status-feed")).to_contain_text("reconnecting", timeout=10_000)

        def started() -> bool:
            with contextlib.suppress(AssertionError):
                cold.start("web")
                return True
            return False

        wait_for(started, "the web process is back", 30)
        with requests.Session() as session:
            for _ in range(5):
                assert session.post(f"{cold.web_url}/trade", json=TRADE, timeout=60).status_code == 201
        expect(page.locator("#status-feed")).to_contain_text("live", timeout=15_000)
    last = cold.journalled()
    assert last == 20
    expect(page.locator(ROW).first).to_contain_text(str(last), timeout=10_000)
    wait_for(lambda: shown(page) == list(range(last, 0, -1)), "every trade is listed once")
    # The page's own position is the only one.
    assert [request.url for request in opened if "last-event-id" in request.all_headers()] == []
    positions = [int(request.url.partition("after=")[2]) for request in opened]
    assert positions[0] == 0 < positions[-1]
    assert positions == sorted(positions)
    context.close()


def test_a_sidecar_that_is_down_is_shown_and_announced(browser: Browser, cold: Stack) -> None:
    cold.start("web")
    context = browser.new_context(base_url=cold.web_url)
    page = context.new_page()
    page.goto("/")
    expect(page.locator("#status-sidecar")).to_contain_text("down")
    expect(page.locator("#status-announcement")).to_contain_text("Sidecar down")
    cold.start("sidecar")
    expect(page.locator("#status-sidecar")).to_contain_text("up", timeout=15_000)
    expect(page.locator("#status-announcement")).to_contain_text("All systems operational")
    context.close()


def test_the_first_load_is_small_and_contacts_no_other_host(browser: Browser, shared: Stack) -> None:
    context = browser.new_context(base_url=shared.web_url)
    page = context.new_page()
    loaded: list[Request] = []
    page.on("requestfinished", lambda request: loaded.append(request))  # noqa: PLW0108 - Playwright takes no built-in method
    page.goto("/")
    expect(page.locator("#status-web")).to_contain_text("up")
    assert all(request.url.startswith(shared.web_url) for request in loaded)
    sizes = {request.url: request.sizes()["responseBodySize"] for request in loaded}
    # The library of the chart, compressed, is among them.
    assert 60_000 < sum(sizes.values()) < 300_000
    print(sum(sizes.values()), sizes)  # noqa: T201 - shown with pytest -s
    context.close()

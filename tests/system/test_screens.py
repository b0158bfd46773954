"""Every screen: nothing overlaps, no page is wider than its window, and nothing moves under who fills in the form."""

import re
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from common.journal.credentials import add_user
from common.journal.file import JOURNAL_REASONS
from common.journal.store import Journal
from common.passwords import hash_password
from common.timestamps import format_timestamp, now
from tests.conftest import ROOT
from tests.system.stack import TRADE, Stack
from tests.waiting import wait_for
from webapp.cli.audit import total_journal
from webapp.reasons import COMMON_REASONS, ROUTE_REASONS

# 320 px is a window of 1280 px at 400 %.
WIDTHS: Final = (320, 390, 768, 1024, 1440, 1920)
OTHER_WIDTHS: Final = (390, 1440)
COLOURS: Final[dict[str, dict[str, Any]]] = {
    "light": {"color_scheme": "light", "forced_colors": "none"},
    "dark": {"color_scheme": "dark", "forced_colors": "none"},
    "forced": {"color_scheme": "dark", "forced_colors": "active"},
}
LONG: Final = "9" * 20 + "." + "9" * 18
EXTREME: Final = [
    TRADE | {"symbol": "W" * 64, "price": LONG, "qty": LONG, "source": "s" * 64, "ref": "r" * 64, "fee": LONG},
    *(TRADE | {"symbol": f"SYM{number:03}/USDT", "price": "0.000000000000000001"} for number in range(299)),
    TRADE | {"symbol": "\u0645\u0631\u062d\u0628\u0627 BTC", "side": "SELL", "price": "123456789012345678.5"},
]
PASSWORD: Final = "correct horse battery"
PAGES: Final = ("/blotter?limit=20", "/positions")
PLAIN: Final = ("/trades?limit=3", "/docs", "/nowhere")

WATCH: Final = """
window.shifts = [];
new PerformanceObserver((list) => {
  const form = document.querySelector(".new-trade");
  for (const { value, sources } of list.getEntries()) {
    for (const { node } of sources) {
      if (node && (node.contains(form) || form?.contains(node))) {
        window.shifts.push(`${value} ${node.id || node.className || node.nodeName}`);
      }
    }
  }
}).observe({ type: "layout-shift", buffered: true });
"""

FIND_MARKED: Final = """(labels) => {
  const isMarked = (label) => getComputedStyle(label, "::before").content === '"✓"';
  return labels.filter(isMarked).map((label) => label.innerText);
}"""

HAS_CANDLE: Final = """() => {
  const probe = document.createElement("i");
  probe.style.cssText = "forced-color-adjust: none; color: var(--buy)";
  document.body.append(probe);
  const buy = getComputedStyle(probe).color.match(/[0-9]+/g).map(Number);
  probe.remove();
  const isDrawn = (canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    for (let at = 0; at < data.length; at += 4) seen.add(`${data[at]} ${data[at + 1]} ${data[at + 2]}`);
    return seen.has(buy.join(" ")) && seen.size > 1;
  };
  return [...document.querySelectorAll("#chart canvas")].some(isDrawn);
}"""

FIND_FAULTS: Final = (ROOT / "tests/system/find_overlaps.js").read_text()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a running stack whose processes can be stopped one by one."""
    with Stack(tmp_path_factory.mktemp("stack"), WEB_CONCURRENCY="1") as stack:
        yield stack.start("web").start("sidecar")


@pytest.fixture(scope="module")
def context(browser: Browser, shared: Stack) -> Iterator[BrowserContext]:
    with browser.new_context(base_url=shared.web_url) as context:
        context.set_default_timeout(60_000)
        yield context


def look(page: Page, state: str, *, all_colours: bool = True) -> list[str]:
    """Return what is wrong with a page at each width, and in other colours at two of them."""
    faults: list[str] = []
    for name, colours in COLOURS.items():
        page.emulate_media(**colours)
        for width in WIDTHS if name == "light" else OTHER_WIDTHS if all_colours else ():
            page.set_viewport_size({"width": width, "height": 900})
            found: list[str] = page.evaluate(FIND_FAULTS)
            faults += [f"{state} {width} {name}: {fault}" for fault in found]
    page.emulate_media(**COLOURS["light"])
    return faults


def look_at_pages(page: Page, state: str, *paths: str) -> list[str]:
    faults: list[str] = []
    for path in paths:
        page.goto(path)
        faults += look(page, f"{state} {path[:12]}", all_colours=path not in PLAIN)
    return faults


def open_desk(context: BrowserContext) -> Page:
    page = context.new_page()
    page.goto("/")
    expect(page.locator("#status-feed")).to_contain_text("live")
    return page


def test_nothing_overlaps_while_there_are_no_trades(context: BrowserContext) -> None:
    page = open_desk(context)
    faults = look(page, "empty /")
    # Each empty page says what to do.
    for path in ("/", "/blotter", "/positions"):
        page.goto(path)
        expect(page.locator("main")).to_contain_text("No trades yet.")
        expect(page.locator("main")).to_contain_text("make demo")
    faults += look_at_pages(page, "empty", *PAGES)
    page.close()
    assert faults == []


def test_the_chart_is_drawn_in_forced_colours(context: BrowserContext, shared: Stack) -> None:
    for price in ("10", "12"):
        shared.post(symbol="DRAWN", side="BUY", price=price, qty="2")
    page = context.new_page()
    for name, colours in COLOURS.items():
        page.emulate_media(**colours)
        page.goto("/?symbol=DRAWN")
        expect(page.locator("#chart-legend")).to_contain_text("12")
        wait_for(lambda: page.evaluate(HAS_CANDLE), f"a candle is seen in {name} colours")
    page.close()


def test_prices_that_floats_cannot_tell_apart_are_drawn(context: BrowserContext, shared: Stack) -> None:
    for price in ("9" * 20, "9" * 19 + "8"):
        shared.post(symbol="WIDEST", side="BUY", price=price, qty="2")
    page = context.new_page()
    page.goto("/?symbol=WIDEST")
    expect(page.locator("#chart-legend")).to_contain_text("9" * 20)
    wait_for(lambda: page.evaluate(HAS_CANDLE), "a candle is seen")
    page.close()


@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_the_form_does_not_move_whatever_happens(context: BrowserContext, shared: Stack, width: int) -> None:
    shared.post(symbol="SHIFT", side="BUY", price="10", qty="2")
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": 900})
    page.add_init_script(WATCH)
    page.goto("/")
    expect(page.locator("#status-feed")).to_contain_text("live")
    expect(page.locator("#trades tbody tr", has_text="SHIFT").first).to_be_attached()
    if width < 960:
        page.get_by_role("button", name="New trade").click()
    form = page.locator("#trade-form")
    before = form.bounding_box()
    for price, message in (
        ("121,50", "Is it 121.50 or 12150?"),
        ("x", "expected a decimal above 0"),
        ("20", "100 % above the last price, 10. Send again if right."),
        ("20", "Accepted as #"),
    ):
        page.locator("#symbol").fill("shift")
        page.locator("#price").fill(price)
        page.locator("#qty").fill("1")
        expect(page.locator("#send")).to_have_text("Buy 1 SHIFT")
        page.locator("#send").click()
        expect(page.locator("body")).to_contain_text(message)
        # It lies over the sheet of a phone too.
        expect(page.locator("#notices > *")).to_be_in_viewport()
        assert form.bounding_box() == before
    expect(page.locator("#qty")).to_have_value("1")
    for number in range(30):
        shared.post(symbol=f"LIVE{number}", side="SELL", price=f"{number + 1}.123456789", qty="7" * min(20, number + 1))
    expect(page.locator("#trades tbody tr", has_text="LIVE29")).to_be_attached()
    # What went well leaves by itself.
    expect(page.locator("#notices .success")).to_have_count(0)
    assert form.bounding_box() == before
    assert page.evaluate("window.shifts") == []
    page.close()


def test_every_reason_is_explained_in_at_most_12_words(context: BrowserContext) -> None:
    page = open_desk(context)
    reasons = [{"reason": each.name, "status": each.status} for each in (*ROUTE_REASONS, *COMMON_REASONS)]
    reasons += [{"reason": f"journal_{each}", "status": 503} for each in JOURNAL_REASONS]
    explain = """async (all) => {
      const { explain, NO_ANSWER } = await import("/static/desk/rejected.js");
      return [...all.map(explain), `No answer: ${NO_ANSWER}`];
    }"""
    texts = page.evaluate(explain, reasons)
    assert [text for text in texts if not 2 <= len(text.split()) <= 12] == []
    assert len(texts) == len(reasons) + 1
    page.close()


FOLLOW: Final = """(link) => {
  link.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
  const seen = link.textContent;
  link.click();
  return seen;
}"""


def follow(page: Page, number: Locator) -> tuple[str, list[list[str]], list[list[str]]]:
    """Click a number, and return it, the totals of its trades, and the trades: side, quantity, price and source."""
    with page.expect_navigation():
        seen: str = number.evaluate(FOLLOW)
    assert "/blotter" in page.url
    cells = "rows => rows.map(({ cells }) => Array.from(cells, (cell) => cell.innerText))"
    totals: list[list[str]] = page.locator(".totals tbody tr").evaluate_all(cells)
    trades: list[list[str]] = page.locator("#results table:not(.totals) tbody tr").evaluate_all(cells)
    page.go_back()
    expect(page.locator("#tile-trades")).to_have_attribute("href", re.compile("since="), timeout=60_000)
    expect(page.locator("#status-feed")).to_contain_text("live")
    return seen, totals, [[row[index] for index in (4, 5, 6, 7)] for row in trades]


def count(totals: list[list[str]], column: int = 1) -> int:
    return sum(int(row[column]) for row in totals)


def share(totals: list[list[str]], side: int) -> str:
    return f"{Decimal(count(totals, side) * 100 / count(totals)).quantize(Decimal(1), ROUND_HALF_UP)}%"


def test_each_number_of_the_desk_leads_to_its_trades_by_one_click(context: BrowserContext, shared: Stack) -> None:
    for side, price, qty, source in (
        ("BUY", "1", "2", "a"),
        ("SELL", "1.25", "0.5", "b"),
        ("BUY", "1.5", "3", "c"),
    ):
        shared.post(symbol="LINKEDJPY", side=side, price=price, qty=qty, source=source)
    page = open_desk(context)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto("/?symbol=LINKEDJPY")
    strip, symbol = page.locator("#tiles"), page.locator("#symbols tr", has_text="LINKEDJPY")
    held = page.locator(".holdings tr", has_text="LINKEDJPY")
    expect(held.locator("a").first).to_have_text("4.5")
    expect(strip.locator("#chart-price")).to_have_text("1.5", timeout=60_000)
    with Journal(Path(shared.settings["JOURNAL_PATH"])) as journal:
        audited = total_journal(journal, journal.last_seq())

    seen, totals, _ = follow(page, strip.locator("#tile-trades"))
    assert int(seen) == count(totals) == sum(tally.trades for tally in audited.values())
    every = totals
    seen, totals, _ = follow(page, strip.locator("#tile-notional"))
    assert "7.13 JPY" in seen
    assert next(row[6] for row in totals if row[0] == "JPY") == "7.125"
    seen, totals, _ = follow(page, strip.locator("#tile-buys"))
    assert (seen, count(totals)) == (share(every, 2), count(every, 2))
    seen, totals, _ = follow(page, strip.locator("#tile-sells"))
    assert (seen, count(totals)) == (share(every, 4), count(every, 4))
    seen, _, trades = follow(page, strip.locator("#chart-price"))
    assert (seen, len(trades)) == (trades[0][2], 3)
    seen, _, trades = follow(page, strip.locator("#tile-sources"))
    assert seen == f"{len({source for _, _, _, source in trades})} active"
    for index, (text, side) in enumerate((("1.5", ""), ("", ""), ("3", ""), ("7.13 JPY", ""), ("91%", "BUY"))):
        seen, totals, trades = follow(page, symbol.locator("a").nth(index))
        assert seen == text or not text
        assert (len(trades), {row[0] for row in trades}) == ((2, {"BUY"}) if side else (3, {"BUY", "SELL"}))
    seen, _, trades = follow(page, held.locator("a").first)
    assert Decimal(seen) == sum(Decimal(qty) * (1 if side == "BUY" else -1) for side, qty, _, _ in trades)
    wait_for(lambda: page.evaluate("performance.now() > 5000"), "the rate is that of 5 s")
    shared.post(symbol="LINKEDJPY", side="SELL", price="1.5", qty="1")
    expect(page.locator("#trades tbody tr").first).to_contain_text("LINKEDJPY")
    seen, totals, _ = follow(page, strip.locator("#tile-rate"))
    assert count(totals) == round(float(seen) * 5)
    expect(page.locator("#lag-trades")).to_have_text("Lag 0")
    seen, _, trades = follow(page, page.locator("#lag-trades"))
    assert (seen, trades[0][1]) == ("Lag 0", "1")
    page.close()


def test_keyboards_phones_forced_colours_and_reduced_motion_are_served(context: BrowserContext, shared: Stack) -> None:
    page = context.new_page()
    page.goto("/blotter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/")
    expect(page.locator("#status-feed")).to_contain_text("live")
    assert page.evaluate("document.activeElement.localName") == "body"
    expect(page.locator("#shortcuts")).to_be_hidden()
    tops = [page.locator(part).bounding_box() for part in ("#tiles", "#chart", "#tabs", "#trades")]
    assert [box["y"] for box in tops if box] == sorted(box["y"] for box in tops if box)
    expect(page.locator("#send")).to_be_hidden()
    page.emulate_media(forced_colors="active", reduced_motion="reduce")
    page.get_by_role("button", name="New trade").click()
    for key, side in (("s", "Sell"), ("b", "Buy")):
        expect(page.get_by_role("radio", name=side)).to_have_attribute("aria-keyshortcuts", f"Alt+{key.upper()}")
        page.keyboard.press(f"Alt+{key}")
        marks = page.locator(".sides label").evaluate_all(FIND_MARKED)
        assert marks == [side]
    shared.post(symbol="MOTION")
    expect(page.locator("#trades tr.new", has_text="MOTION")).to_be_attached()
    assert page.evaluate("document.getAnimations().length") == 0
    page.close()


def test_nothing_overlaps_on_the_desk(context: BrowserContext, shared: Stack) -> None:
    page = open_desk(context)
    for price in range(20):
        shared.post(TRADE | {"symbol": "LIVE", "price": str(27000 + price)})
    expect(page.locator("#trades tbody tr").first).to_contain_text("LIVE")
    faults = look(page, "live /")
    assert requests.post(f"{shared.web_url}/trades", json=EXTREME, timeout=60).status_code == 201
    page.reload()
    expect(page.locator("#symbols tbody tr").first).to_be_attached(timeout=60_000)
    faults += look(page, "extreme /")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.locator("#price").fill("121,50")
    page.locator("#send").click()
    expect(page.locator("#price-error")).to_contain_text("Is it 121.50 or 12150?")
    faults += look(page, "errors /")
    page.close()
    assert faults == []


def test_nothing_overlaps_on_the_other_pages(context: BrowserContext, shared: Stack) -> None:
    assert requests.post(f"{shared.web_url}/trades", json=EXTREME, timeout=60).status_code == 201
    trade = requests.get(f"{shared.web_url}/trades?source={'s' * 64}", timeout=60).json()["trades"][0]["id"]
    page = context.new_page()
    more = f"/trades/{trade}", f"/blotter?symbol={'a+' * 99}&since=x&n=1"
    faults = look_at_pages(page, "extreme", *PAGES, *PLAIN, *more)
    page.close()
    assert faults == []


def test_nothing_overlaps_while_parts_do_not_answer(context: BrowserContext, shared: Stack) -> None:
    shared.accept(1)
    for path in ("feed", "market"):
        context.route(f"**/{path}*", lambda route: route.abort())
    page = context.new_page()
    page.goto("/")
    expect(page.locator("#status-feed")).not_to_contain_text("live")
    faults = look(page, "broken /")
    context.unroute_all()
    shared.stop("sidecar")
    trade = requests.get(f"{shared.web_url}/trades?limit=1", timeout=60).json()["trades"][0]["id"]
    faults += look_at_pages(page, "broken", "/positions", f"/trades/{trade}")
    page.close()
    assert faults == []


def test_nothing_overlaps_on_the_pages_of_who_signs_in(browser: Browser, shared: Stack) -> None:
    with Journal(Path(shared.settings["JOURNAL_PATH"])) as journal:
        assert add_user(journal, "v" * 64, "viewer", hash_password(PASSWORD), format_timestamp(now()))
    with browser.new_context(base_url=shared.web_url) as context:
        page = context.new_page()
        page.goto("/blotter")
        faults = look(page, "sign-in")
        for password in ("wrong", PASSWORD):
            page.locator("[name=username]").fill("v" * 64)
            page.locator("[name=password]").fill(password)
            with page.expect_navigation():
                page.keyboard.press("Enter")
            faults += look(page, f"signed in with {password}")
        page.goto("/")
        expect(page.locator("main")).to_contain_text("You may look, but not send")
        faults += look(page, "viewer /")
    assert faults == []

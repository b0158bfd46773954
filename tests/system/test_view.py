"""What is chosen on the desk is kept and can be passed on, and a table stands still while someone uses it."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from common.journal.store import Journal
from common.timestamps import format_timestamp, now
from tests.conftest import append, make_event
from tests.system.stack import TRADE, Stack
from tests.waiting import wait_for

ROW = "#trades tbody tr:not(.pending)"
CHOSEN = "symbol=EARLIER&interval=15m&window=1d&zone=local"


@pytest.fixture(scope="module", autouse=True)
def _traded(shared: Stack) -> None:
    for symbol, qty in (("EARLIER", "1000"), ("LARGEST", "900000")):
        shared.post(TRADE | {"symbol": symbol, "qty": qty})


@pytest.fixture
def page(browser: Browser, shared: Stack) -> Iterator[Page]:
    with browser.new_context(base_url=shared.web_url, timezone_id="Asia/Tokyo") as context:
        yield context.new_page()


def open_desk(page: Page, query: str = "") -> None:
    page.goto(f"/{query}")
    expect(page.locator("#status-feed")).to_contain_text("live")


def check_view(page: Page, symbol: str, interval: str, window: str, zone: str) -> None:
    expect(page.locator("#chart-symbol")).to_have_text(symbol)
    for name, value in {"Interval": interval, "Window": window, "Time zone": zone}.items():
        expect(page.get_by_label(name)).to_have_value(value)
    expect(page.locator("#trades th .zone")).to_have_text("UTC" if zone == "utc" else "Asia/Tokyo")
    expect(page.locator("dt .window").first).to_have_text(window)


def choose(page: Page) -> None:
    page.locator("#symbols").get_by_role("button", name="EARLIER").click()
    page.get_by_label("Interval").select_option("15m")
    page.get_by_label("Time zone").select_option("local")


def test_a_choice_is_in_the_address_and_is_the_same_after_back_a_reload_and_by_link(
    browser: Browser, page: Page, shared: Stack
) -> None:
    open_desk(page)
    check_view(page, "LARGEST", "5s", "15m", "utc")
    choose(page)
    check_view(page, "EARLIER", "15m", "1d", "local")
    assert page.url.endswith(f"/?{CHOSEN}")
    page.go_back()
    check_view(page, "EARLIER", "15m", "1d", "utc")
    page.go_back()
    check_view(page, "EARLIER", "5s", "15m", "utc")
    page.go_forward()
    page.go_forward()
    check_view(page, "EARLIER", "15m", "1d", "local")
    page.reload()
    check_view(page, "EARLIER", "15m", "1d", "local")
    with browser.new_context(base_url=shared.web_url, timezone_id="Asia/Tokyo") as other:
        linked = other.new_page()
        open_desk(linked, f"?{CHOSEN}")
        check_view(linked, "EARLIER", "15m", "1d", "local")


def test_a_choice_is_remembered_and_an_unknown_one_is_not_taken(page: Page) -> None:
    open_desk(page)
    choose(page)
    open_desk(page)
    check_view(page, "EARLIER", "15m", "1d", "local")
    open_desk(page, "?interval=7s&window=2h&zone=mars&symbol=LARGEST")
    check_view(page, "LARGEST", "5s", "15m", "utc")


def test_a_window_is_shown_in_bars_that_fit(page: Page) -> None:
    open_desk(page)
    page.get_by_label("Window").select_option("30d")
    check_view(page, "LARGEST", "1d", "30d", "utc")
    page.get_by_label("Interval").select_option("1s")
    check_view(page, "LARGEST", "1s", "15m", "utc")


def test_times_are_in_the_zone_that_is_chosen(page: Page, shared: Stack) -> None:
    shared.post(TRADE | {"symbol": "ZONE", "ts": "2026-01-31T20:30:00.123456Z"})
    open_desk(page)
    time = page.locator(ROW, has_text="ZONE").first.locator("time")
    expect(time).to_have_text("2026-01-31 20:30:00.123")
    page.get_by_label("Time zone").select_option("local")
    expect(time).to_have_text("2026-02-01 05:30:00.123")
    shared.post(TRADE | {"symbol": "LIVE", "ts": "2026-01-31T20:30:00.123456Z"})
    expect(page.locator(ROW, has_text="LIVE").locator("time")).to_have_text("2026-02-01 05:30:00.123")


def test_the_newest_click_wins_over_a_late_answer(page: Page, shared: Stack) -> None:
    open_desk(page)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/market?*symbol=EARLIER*", hold)
    page.locator("#symbols").get_by_role("button", name="EARLIER").click()
    wait_for(lambda: page.evaluate("1") and held, "the first click is on its way")
    page.locator("#symbols").get_by_role("button", name="LARGEST").click()
    expect(page).to_have_url(re.compile("symbol=LARGEST"))
    expect(page.locator("#chart-symbol")).to_have_text("LARGEST")
    with page.expect_response(lambda response: "symbol=EARLIER" in response.url):
        held[0].continue_()
    page.mouse.move(1, 1)
    shared.post(TRADE | {"symbol": "AFTER"})
    expect(page.locator("#symbols").get_by_role("button", name="AFTER")).to_be_visible()
    expect(page.locator("#chart-symbol")).to_have_text("LARGEST")


def test_the_trades_stand_still_while_pointed_at_and_say_how_many_are_new(page: Page, shared: Stack) -> None:
    open_desk(page)
    first = page.locator(ROW).first
    seq = first.get_attribute("data-seq")
    first.hover()
    shared.accept(3)
    expect(page.locator("#trades-new")).to_have_text("3 new")
    expect(first).to_have_attribute("data-seq", str(seq))
    page.mouse.move(1, 1)
    expect(first).to_have_attribute("data-seq", str(shared.journalled()))
    expect(page.locator("#trades-new")).to_be_hidden()


def test_the_trades_can_be_paused(page: Page, shared: Stack) -> None:
    open_desk(page)
    first = page.locator(ROW).first
    seq = first.get_attribute("data-seq")
    page.get_by_role("button", name="Pause").click()
    shared.accept(2)
    expect(page.locator("#trades-new")).to_have_text("2 new")
    expect(first).to_have_attribute("data-seq", str(seq))
    page.locator("#trades-new").click()
    expect(first).to_have_attribute("data-seq", str(shared.journalled()))
    shared.accept(1)
    expect(page.locator("#trades-new")).to_have_text("1 new")
    page.get_by_role("button", name="Resume").click()
    expect(first).to_have_attribute("data-seq", str(shared.journalled()))


def test_the_symbols_stand_still_while_pointed_at_and_say_how_many_are_new(page: Page, shared: Stack) -> None:
    open_desk(page)
    first = page.locator("#symbols tbody tr").first
    symbol = first.get_by_role("button").inner_text()
    first.hover()
    shared.post(TRADE | {"symbol": "BEFORE", "qty": "90000000000"})
    shared.post(TRADE | {"symbol": symbol, "price": "4321"})
    # Those of earlier tests may come after the summary that the page was opened with.
    expect(page.locator("#symbols-new")).to_have_text(re.compile("^[1-9][0-9]* new$"))
    expect(first).to_contain_text("4321")
    expect(first.get_by_role("button")).to_have_text(symbol)
    page.mouse.move(1, 1)
    expect(first.get_by_role("button")).to_have_text("BEFORE")
    expect(page.locator("#symbols-new")).to_be_hidden()


def test_one_of_2000_symbols_is_found_by_three_keys_with_the_age_of_its_price(page: Page, shared: Stack) -> None:
    earlier = format_timestamp(now() - timedelta(hours=5))
    names = [f"Q{n:04}" for n in range(1000)] + ["WANTED"] + [f"Z{n:04}" for n in range(1000)]
    with Journal(Path(shared.settings["JOURNAL_PATH"])) as journal:
        append(journal, [make_event(0, id=name, symbol=name, price="7.70", accepted_at=earlier) for name in names])
    open_desk(page)
    expect(page.locator("#symbols tbody tr")).to_have_count(100)
    page.get_by_label("Search symbols").press_sequentially("wan")
    row = page.locator("#symbols tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("7.70")
    expect(row).to_contain_text("5 h")
    page.keyboard.press("Enter")
    expect(page.locator("#chart-symbol")).to_have_text("WANTED")
    expect(page.locator("#chart-price")).to_have_text("7.70")


def test_the_trades_are_filtered_and_the_filter_is_in_the_address(page: Page, shared: Stack) -> None:
    for symbol, side, qty, source in (
        ("FILTER", "BUY", "5", "a"),
        ("FILTER", "SELL", "9", "a"),
        ("FILTER", "SELL", "1", "a"),
    ):
        shared.post(TRADE | {"symbol": symbol, "side": side, "qty": qty, "source": source})
    shared.post(TRADE | {"symbol": "OTHER", "side": "SELL", "qty": "50", "source": "a"})
    shared.accept(60)
    open_desk(page)
    page.get_by_role("button", name="Filter", exact=True).click()
    page.get_by_label("Only the symbol").fill("filter")
    page.get_by_label("Only the side").select_option("SELL")
    page.get_by_label("Only the source").fill("a")
    page.get_by_label("Least quantity").fill("1.5")
    page.keyboard.press("Enter")
    expect(page.locator(ROW)).to_have_count(1)
    expect(page.locator(ROW)).to_contain_text("9")
    expect(page).to_have_url(re.compile("filter_symbol=FILTER&filter_side=SELL&filter_source=a&filter_qty=1.5"))
    shared.post(TRADE | {"symbol": "FILTER", "side": "SELL", "qty": "1.4", "source": "a"})
    shared.post(TRADE | {"symbol": "FILTER", "side": "SELL", "qty": "1.5", "source": "a"})
    expect(page.locator(ROW)).to_have_count(2)
    page.reload()
    expect(page.locator(ROW)).to_have_count(2)
    expect(page.locator(ROW).first).to_contain_text("1.5")
    expect(page.get_by_role("button", name="Filter (4)")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(ROW)).to_have_count(50)


def test_on_a_phone_tables_are_in_tabs_and_the_form_is_a_sheet(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_desk(page)
    trades, symbols, send = page.locator("#trades"), page.locator("#symbols"), page.locator("#send")
    expect(trades).to_be_visible()
    expect(symbols).to_be_hidden()
    expect(send).to_be_hidden()
    page.get_by_role("tab", name="Symbols").click()
    expect(symbols).to_be_visible()
    expect(trades).to_be_hidden()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("tab", name="Symbols")).to_be_focused()
    page.get_by_role("button", name="New trade").click()
    for name, text in {"symbol": "SHEET", "price": "1", "qty": "2"}.items():
        page.locator(f"[name={name}]").fill(text)
    send.click()
    expect(page.locator("#notices")).to_contain_text("2 SHEET at 1")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.keyboard.press("Escape")
    expect(send).to_be_hidden()
    page.set_viewport_size({"width": 1440, "height": 900})
    for each in (trades, symbols, send):
        expect(each).to_be_visible()

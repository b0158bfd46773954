"""Every screen: nothing overlaps, and no page is wider than its window, in any state, width and colours."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.conftest import ROOT
from tests.system.stack import TRADE, Stack

WIDTHS: Final = (390, 768, 1024, 1440, 1920)
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

FIND_FAULTS: Final = (ROOT / "tests/system/find_overlaps.js").read_text()
AXE: Final = ROOT / "tests/system/axe/axe.min.js"


@pytest.fixture(scope="module")
def context(browser: Browser, shared: Stack) -> Iterator[BrowserContext]:
    # The page's policy forbids scripts that are not the server's, such as axe.
    with browser.new_context(base_url=shared.web_url, bypass_csp=True) as context:
        yield context


def look(page: Page, state: str, *, axe: bool = True) -> list[str]:
    """Return what is wrong with a page: at each width, in all colours at two of them, and for axe."""
    faults: list[str] = []
    for name, colours in COLOURS.items():
        page.emulate_media(**colours)
        for width in WIDTHS if name == "light" else WIDTHS[::3]:
            page.set_viewport_size({"width": width, "height": 900})
            found: list[str] = page.evaluate(FIND_FAULTS)
            faults += [f"{state} {width} {name}: {fault}" for fault in found]
    page.emulate_media(**COLOURS["light"])
    if axe:
        page.add_script_tag(path=AXE)
        run = "axe.run().then(({violations}) => violations.map(({id, nodes}) => `${id} ${nodes[0].target}`))"
        faults += [f"{state} axe: {fault}" for fault in page.evaluate(run)]
    return faults


def open_desk(context: BrowserContext) -> Page:
    page = context.new_page()
    page.goto("/")
    expect(page.locator("#status-feed")).to_contain_text("live")
    return page


def test_nothing_overlaps_on_an_empty_desk(context: BrowserContext) -> None:
    page = open_desk(context)
    assert look(page, "empty") == []
    page.close()


def test_a_number_of_the_desk_leads_to_its_trades(context: BrowserContext, shared: Stack) -> None:
    for side in ("BUY", "SELL", "BUY"):
        shared.post(TRADE | {"symbol": "LINKED", "side": side, "price": "1", "qty": "2"})
    page = open_desk(context)
    row = page.locator("#symbols tr").filter(has=page.get_by_role("button", name="LINKED", exact=True))
    page.locator("#symbols-search").fill("LINKED")
    seen = {"trades": row.locator("a").first.inner_text(), "all": page.locator("#tile-trades").inner_text()}
    assert seen["trades"] == "3"
    for link, trades in (
        (row.locator("a").nth(0), "3"),
        (row.locator("a").nth(1), "3"),
        (page.locator("#tile-trades"), seen["all"]),
    ):
        link.click()
        rows = page.locator(".totals tbody tr td:nth-child(2)")
        expect(rows.first).to_be_visible()
        assert sum(int(text) for text in rows.all_inner_texts()) == int(trades.replace(",", ""))
        page.go_back()
        page.locator("#symbols-search").fill("LINKED")
        expect(row).to_be_visible()
    page.close()


PARTS: Final = ("#send", "#price", "#recent", "#tiles", "#chart-symbol")


def test_no_part_of_the_desk_moves_when_a_form_is_answered(context: BrowserContext, shared: Stack) -> None:
    shared.post(TRADE | {"symbol": "SHIFT", "price": "10"})
    page = open_desk(context)
    expect(page.locator("#symbols tr", has_text="SHIFT")).to_be_visible()
    expect(page.locator("#trades tbody tr", has_text="SHIFT").first).to_be_visible()
    before = [page.locator(part).bounding_box() for part in PARTS]
    for price, message in (
        ("121,50", "Is it 121.50 or 12150?"),
        ("x", "expected a decimal above 0"),
        ("20", "100 % above the last price, 10. Send again if right."),
        ("20", "Accepted as #"),
    ):
        page.locator("#symbol").fill("SHIFT")
        page.locator("#price").fill(price)
        page.locator("#qty").fill("1")
        expect(page.locator("#send")).to_have_text("Buy 1 SHIFT")
        page.locator("#send").click()
        expect(page.locator("body")).to_contain_text(message)
        assert [page.locator(part).bounding_box() for part in PARTS] == before
    expect(page.locator("#qty")).to_have_value("1")
    # What went well leaves by itself.
    expect(page.locator("#notices .success")).to_have_count(0)
    page.close()


def test_nothing_overlaps_on_the_desk(context: BrowserContext, shared: Stack) -> None:
    page = open_desk(context)
    for price in range(20):
        shared.post(TRADE | {"symbol": "LIVE", "price": str(27000 + price)})
    expect(page.locator("#trades tbody tr").first).to_contain_text("LIVE")
    faults = look(page, "live")
    assert requests.post(f"{shared.web_url}/trades", json=EXTREME, timeout=60).status_code == 201
    page.reload()
    expect(page.locator("#symbols tbody tr").first).to_be_visible()
    faults += look(page, "extreme", axe=False)
    page.locator("#price").fill("121,50")
    page.locator("#send").click()
    expect(page.locator("#price-error")).to_contain_text("Is it 121.50 or 12150?")
    faults += look(page, "errors", axe=False)
    for path in ("feed", "market"):
        context.route(f"**/{path}*", lambda route: route.abort())
    page.goto("/")
    expect(page.locator("#status-feed")).not_to_contain_text("live")
    faults += look(page, "broken", axe=False)
    context.unroute_all()
    page.close()
    assert faults == []


def test_nothing_overlaps_on_the_other_pages(context: BrowserContext, shared: Stack) -> None:
    assert requests.post(f"{shared.web_url}/trades", json=EXTREME, timeout=60).status_code == 201
    trade = requests.get(f"{shared.web_url}/trades?source={'s' * 64}", timeout=60).json()["trades"][0]["id"]
    page = context.new_page()
    faults: list[str] = []
    for path in ("/blotter?limit=20", f"/trades/{trade}", "/positions", "/trades?limit=3", "/docs", "/nowhere"):
        page.goto(path)
        faults += look(page, path[:10], axe=path not in {"/docs", "/positions"})
    page.close()
    assert faults == []

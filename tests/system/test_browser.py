"""The pages in a real Chromium, used as a person would."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect

from tests.conftest import ROOT
from tests.system.stack import Stack

ARTEFACTS = ROOT / "test-artefacts"
VIEWS = {
    "light": {"width": 1440, "height": 900},
    "dark": {"width": 1440, "height": 900},
    "tablet": {"width": 1024, "height": 768},
    "phone": {"width": 390, "height": 844},
    "phone-dark": {"width": 390, "height": 844},
}


@pytest.fixture
def page(browser: Browser, shared: Stack) -> Iterator[Page]:
    context = browser.new_context(base_url=shared.web_url, permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    errors: list[str] = []
    external: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(shared.web_url) else external.append(request.url))
    yield page
    context.close()
    # Chromium logs the 422 of a rejected form as an error.
    assert [text for text in errors if "422" not in text] == []
    assert external == []


def fill(page: Page, **fields: str) -> None:
    page.goto("/")
    if page.viewport_size and page.viewport_size["width"] < 640:
        # On a phone the form is a sheet.
        page.get_by_role("button", name="New trade").click()
    for name, text in fields.items():
        page.locator(f"[name={name}]").fill(text)


def test_a_trade_sent_by_form_is_shown_in_the_table(page: Page, shared: Stack) -> None:
    before = shared.journalled()
    fill(page, symbol="ethusdt", price="1666.80", qty="26.062")
    page.locator("#trade-form").get_by_text("Sell", exact=True).click()
    page.locator("#send").click()
    expect(page.get_by_role("status")).to_contain_text(f"Accepted as #{before + 1}: SELL 26.062 ETHUSDT at 1666.80")
    row = page.locator("tbody tr").first
    expect(row).to_contain_text("ETHUSDT")
    expect(row).to_contain_text("1666.80")
    page.reload()
    assert shared.journalled() == before + 1


def test_a_form_can_be_sent_by_keyboard_only(page: Page, shared: Stack) -> None:
    before = shared.journalled()
    page.goto("/")
    page.keyboard.type("keys")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.type("10")
    page.keyboard.press("Tab")
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("SELL 2 KEYS at 10")
    assert shared.journalled() == before + 1


def test_the_description_of_the_api_is_read_without_a_script(page: Page) -> None:
    responses: list[Response] = []
    page.on("response", lambda response: responses.append(response))  # noqa: PLW0108 - Playwright takes no built-in method
    page.goto("/docs")
    expect(page.get_by_role("heading", name="API", exact=True)).to_be_visible()
    page.get_by_role("link", name="POST /trades", exact=True).click()
    expect(page.get_by_role("heading", name="POST /trades", exact=True)).to_be_in_viewport()
    page.wait_for_load_state("networkidle")
    loaded = {response.url: len(response.body()) for response in responses}
    # The choice of the theme, which is on every page.
    assert [url.rpartition("/")[2] for url in loaded if url.endswith((".js", ".mjs"))] == ["theme.js"]
    assert 10_000 < sum(loaded.values()) < 120_000


def test_errors_are_shown_at_their_fields_and_input_is_kept(page: Page, shared: Stack) -> None:
    before = shared.journalled()
    fill(page, symbol="BTC\u200bUSDT", price="1e400", qty="0.5", ts="yesterday")
    page.locator("#send").click()
    expect(page.get_by_role("alert")).to_contain_text("look at the marked fields")
    for name, typed in {"symbol": "BTC\u200bUSDT", "price": "1e400", "ts": "yesterday"}.items():
        field = page.locator(f"[name={name}]")
        expect(field).to_have_value(typed)
        expect(field).to_have_attribute("aria-invalid", "true")
        shown = typed.encode("ascii", "backslashreplace").decode()
        expect(page.locator(f"#{name}-error")).to_contain_text(f'"{shown}" is not accepted; expected')
    expect(page.locator("[name=qty]")).to_have_value("0.5")
    expect(page.locator("#qty-error")).to_be_hidden()
    assert shared.journalled() == before


def test_the_curl_command_follows_the_form_and_can_be_copied(page: Page) -> None:
    fill(page, symbol="btc", price="1.50", qty="it's")
    page.get_by_text("Send with curl").click()
    command = page.locator("#curl")
    expect(command).to_contain_text('"symbol":"btc","side":"BUY","price":"1.50","qty":"it')
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#curl-copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == command.inner_text()


def test_the_form_works_without_javascript(browser: Browser, shared: Stack) -> None:
    context = browser.new_context(base_url=shared.web_url, java_script_enabled=False)
    page = context.new_page()
    fill(page, symbol="NOJS", price="1", qty="1")
    page.locator("#send").click()
    expect(page.get_by_role("status")).to_contain_text("BUY 1 NOJS at 1")
    expect(page.locator("#curl-copy")).to_be_hidden()
    context.close()


def test_the_desk_and_the_sidecar_link_to_each_other(browser: Browser, shared: Stack) -> None:
    context = browser.new_context(base_url=shared.web_url)
    page = context.new_page()
    page.goto("/blotter")
    page.get_by_role("contentinfo").get_by_role("link", name="Sidecar").click()
    expect(page).to_have_url(f"{shared.sidecar_url}/")
    for name, url in (("Prometheus", shared.settings["PROMETHEUS_URL"]), ("Grafana", "http://127.0.0.1:3000")):
        expect(page.get_by_role("link", name=name)).to_have_attribute("href", url)
    page.get_by_role("link", name="Desk").click()
    expect(page.get_by_role("heading", name="Trades", exact=True)).to_be_attached()
    assert page.url == f"{shared.web_url}/"
    context.close()


def open_view(browser: Browser, shared: Stack, view: str) -> BrowserContext:
    scheme = "dark" if "dark" in view else "light"
    return browser.new_context(base_url=shared.web_url, viewport=VIEWS[view], color_scheme=scheme)  # type: ignore[arg-type]


@pytest.mark.parametrize("view", VIEWS)
def test_the_page_fits_its_window(browser: Browser, shared: Stack, view: str) -> None:
    shared.run_cli("simulate", "--count", "25", "--rate", "1000", "--seed", "3")
    context = open_view(browser, shared, view)
    page = context.new_page()
    ARTEFACTS.mkdir(exist_ok=True)
    # Of a symbol without a last price, which could be far from this one.
    fill(page, symbol=f"FITS-{view}", price="1666.80", qty="26.062")
    page.locator("#send").click()
    expect(page.get_by_role("status")).to_be_visible()
    page.screenshot(path=ARTEFACTS / f"page-{view}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    fill(page, symbol="BTC USDT", price="abc", qty="-1")
    page.locator("#send").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.screenshot(path=ARTEFACTS / f"errors-{view}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.goto("/blotter?side=BUY")
    page.screenshot(path=ARTEFACTS / f"blotter-{view}.png")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.goto("/docs#accept_trade")
    page.screenshot(path=ARTEFACTS / f"docs-{view}.png")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.goto("/nowhere")
    page.screenshot(path=ARTEFACTS / f"problem-{view}.png")
    context.close()

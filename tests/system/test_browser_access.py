"""axe-core finds no violation on any page in either theme; the chart library works under the page's CSP."""

from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from tests.conftest import ROOT
from tests.system.stack import Stack

AXE = (ROOT / "tests/system/axe/axe.min.js").read_text()
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
CHART = "/static/vendor/lightweight-charts/lightweight-charts.mjs"
DRAW = """async (path) => {
  const { createChart, CandlestickSeries } = await import(path);
  const container = document.createElement("div");
  document.body.append(container);
  const layout = { attributionLogo: false };
  const chart = createChart(container, { width: 400, height: 200, layout });
  const series = chart.addSeries(CandlestickSeries);
  series.setData([{ time: 1700000000, open: 1, high: 3, low: 1, close: 2 }]);
  return series.data().length;
}"""


def find_violations(page: Page) -> list[str]:
    page.evaluate(AXE)
    found = page.evaluate("tags => axe.run({ runOnly: tags })", TAGS)
    assert found["passes"], "axe checked nothing"
    return [f"{each['id']}: {node['html']}" for each in found["violations"] for node in each["nodes"]]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_violations(browser: Browser, shared: Stack, theme: Literal["light", "dark"]) -> None:
    shared.accept(3)
    context = browser.new_context(base_url=shared.web_url, color_scheme=theme)
    page = context.new_page()
    trade = f"/trades/{shared.post().json()['id']}"
    pages = (
        "/",
        "/blotter",
        "/blotter?symbol=a+b&since=x",
        "/positions",
        trade,
        "/trades?limit=1",
        "/docs",
        "/nowhere",
    )
    for path in pages:
        page.goto(path)
        assert find_violations(page) == []
    page.goto("/")
    page.locator("#send").click()
    page.get_by_role("alert").wait_for()
    assert find_violations(page) == []
    context.close()


def test_axe_detects_a_missing_label(browser: Browser, shared: Stack) -> None:
    context = browser.new_context(base_url=shared.web_url)
    page = context.new_page()
    page.goto("/")
    page.evaluate("document.querySelector('label[for=symbol]').remove()")
    page.evaluate("document.querySelector('#symbol').removeAttribute('placeholder')")
    assert any(violation.startswith("label:") for violation in find_violations(page))
    context.close()


def test_the_chart_library_draws_under_the_strict_csp(browser: Browser, shared: Stack) -> None:
    context = browser.new_context(base_url=shared.web_url)
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto("/")
    assert page.evaluate(DRAW, CHART) == 1
    page.locator("canvas").first.wait_for()
    page.screenshot()
    assert errors == []
    context.close()

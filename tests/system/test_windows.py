"""Many desks in one browser share one feed, and each still has every trade once."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.system.stack import TRADE, Stack
from tests.waiting import wait_for

WINDOWS = 8
"""More than the connections that a browser opens to one host."""

ROW = "#trades tbody tr:not(.pending)"


@pytest.fixture
def context(browser: Browser, shared: Stack) -> Iterator[BrowserContext]:
    # Each page lists at least one trade.
    shared.accept(1)
    with browser.new_context(base_url=shared.web_url) as context:
        yield context


def open_desk(context: BrowserContext) -> Page:
    page = context.new_page()
    page.goto("/")
    expect(page.locator("#status-feed")).to_contain_text("live")
    return page


def shown(page: Page) -> list[int]:
    return [int(text) for text in page.locator(f"{ROW} td:first-child").all_inner_texts()]


def has_last(page: Page, count: int, last: int) -> None:
    wait_for(lambda: shown(page)[:count] == list(range(last, last - count, -1)), "every trade is listed once")


def test_many_windows_load_receive_and_send_over_one_feed(context: BrowserContext, shared: Stack) -> None:
    pages = [open_desk(context) for _ in range(WINDOWS)]
    assert shared.total("webapp_feed_subscribers") == 1
    before = shared.journalled()
    shared.accept(5)
    for page in pages:
        has_last(page, 5, before + 5)
        expect(page.locator("#status-summary")).to_have_text("All systems operational")
    for page in pages:
        for name, text in {"symbol": "WINDOW", "price": "1", "qty": "2"}.items():
            page.locator(f"[name={name}]").fill(text)
        page.locator("#send").click()
        expect(page.locator("#notices")).to_contain_text("2 WINDOW at 1")
    for page in pages:
        has_last(page, 5 + WINDOWS, before + 5 + WINDOWS)


def test_when_the_page_that_reads_the_feed_is_closed_another_continues_without_a_gap(
    context: BrowserContext, shared: Stack
) -> None:
    pages = [open_desk(context) for _ in range(4)]
    before = shared.journalled()
    with shared.under_trades(50):
        for _ in range(3):
            # The first that queued for the lock holds it.
            pages.pop(0).close()
            sent = shared.journalled()
            wait_for(lambda sent=sent: shown(pages[-1])[0] > sent, "the next page reads the feed")  # type: ignore[misc]

    def is_complete() -> bool:
        # The last trade that was sent may still be on its way into the journal.
        last = shared.journalled()
        count = min(50, last - before)
        return count > 0 and shown(pages[0])[:count] == list(range(last, last - count, -1))

    wait_for(is_complete, "every trade is listed once")
    wait_for(lambda: shared.total("webapp_feed_subscribers") == 1, "there is one feed")


def test_a_page_that_is_left_gives_up_the_feed_and_has_every_trade_when_it_is_back(
    context: BrowserContext, shared: Stack
) -> None:
    first, second = open_desk(context), open_desk(context)
    first.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    expect(first.locator("#status-feed")).to_contain_text("paused")
    before = shared.journalled()
    shared.accept(3)
    has_last(second, 3, before + 3)
    assert shown(first)[0] <= before
    held: dict[str, list[object]] = first.evaluate("navigator.locks.query()")
    assert (len(held["held"]), len(held["pending"])) == (1, 0)
    first.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    has_last(first, 3, before + 3)
    expect(first.locator("#status-feed")).to_contain_text("live")


def test_a_frozen_page_loses_the_feed(context: BrowserContext, shared: Stack) -> None:
    pages = [open_desk(context) for _ in range(2)]
    frozen = context.new_page()
    frozen.goto("/blotter")
    frozen.evaluate("() => { navigator.locks.request('/feed', { steal: true }, () => new Promise(() => {})); }")
    before = shared.journalled()
    shared.accept(3)
    for page in pages:
        has_last(page, 3, before + 3)
        expect(page.locator("#status-summary")).to_have_text("All systems operational")
    wait_for(lambda: shared.total("webapp_feed_subscribers") == 1, "there is one feed")


def test_a_page_without_locks_has_a_feed_of_its_own(context: BrowserContext, shared: Stack) -> None:
    context.add_init_script("Object.defineProperty(Navigator.prototype, 'locks', { value: undefined })")
    pages = [open_desk(context) for _ in range(2)]
    wait_for(lambda: shared.total("webapp_feed_subscribers") == 2, "each page has a feed")
    event = shared.post(TRADE | {"symbol": "ALONE"}).json()
    for page in pages:
        has_last(page, 1, event["seq"])


def test_trades_that_a_page_missed_are_read_from_the_journal(context: BrowserContext, shared: Stack) -> None:
    page = open_desk(context)
    before = shared.journalled()
    shared.accept(3)
    has_last(page, 3, before + 3)
    late = context.new_page()
    # A page that opens with fewer trades than the one that reads the feed has sent already.
    late.route("**/market?*", lambda route: route.abort())
    late.route("**/", lambda route: route.fulfill(body=shrink(route.fetch().text(), before), content_type="text/html"))
    late.goto("/")
    has_last(late, 3, before + 3)


def shrink(text: str, last: int) -> str:
    """Return the page as it was when ``last`` was the newest trade."""
    head, mark, rows = text.partition("<tbody>\n")
    assert mark
    table, end, rest = rows.partition("</tbody>\n      </table>\n      <template")
    assert end
    del table
    head = head.replace(f'data-last-seq="{last + 3}"', f'data-last-seq="{last}"')
    return head + mark + end + rest

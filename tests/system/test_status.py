"""The desk when something fails: what it says is never older than a few seconds, and a send is tried again in sight."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs

import psutil
from playwright.sync_api import Browser, Page, Route, expect

from common.journal.store import Journal
from tests.conftest import append, make_event
from tests.system.stack import TRADE, Stack
from tests.waiting import wait_for

OK = "All systems operational"
PARTS = ("web", "sidecar", "lag", "feed")


@contextmanager
def stopped(processes: list[psutil.Process]) -> Iterator[None]:
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


def open_desk(page: Page) -> None:
    page.goto("/")
    expect(page.locator("#status-summary")).to_have_text(OK)


def fill(page: Page, symbol: str) -> None:
    for name, text in {"symbol": symbol, "price": "1", "qty": "2"}.items():
        page.locator(f"[name={name}]").fill(text)


def test_a_page_that_is_cut_off_shows_nothing_green_and_says_from_when_to_when(browser: Browser, shared: Stack) -> None:
    with browser.new_context(base_url=shared.web_url) as context:
        page = context.new_page()
        open_desk(page)
        with stopped(list(shared.workers())):
            expect(page.locator("#status li.ok")).to_have_count(0)
            expect(page.locator("#status-web")).to_contain_text("no answer")
            expect(page.locator("#status-sidecar")).to_contain_text("unknown")
            expect(page).to_have_title(re.compile("^⚠ Web no answer, Sidecar unknown, Lag unknown"))
            expect(page.locator("#icon")).to_have_attribute("href", re.compile("icon-trouble.svg$"))
            expect(page.locator("#status-complete")).to_contain_text(re.compile("([7-9]|[1-9][0-9]+) s ago"))
            expect(page.locator("#cut-off")).to_be_hidden()
            # Another process accepts trades.
            with Journal(Path(shared.settings["JOURNAL_PATH"])) as journal:
                append(journal, [make_event(0, symbol="MEANWHILE") for _ in range(3)])
        expect(page.locator("#status-summary")).to_have_text(OK)
        expect(page.locator("#status-complete")).to_contain_text(f"every trade up to #{shared.journalled()}, ")
        expect(page.locator("#trades tbody tr", has_text="MEANWHILE")).to_have_count(3)
        expect(page.locator("#icon")).to_have_attribute("href", re.compile("icon.svg$"))
        clock = r"\d\d:\d\d:\d\d"
        expect(page.locator("#cut-off")).to_contain_text(re.compile(f"Cut off from {clock} to {clock} UTC"))
        page.locator("#cut-off-close").click()
        expect(page.locator("#cut-off")).to_be_hidden()


def test_the_state_of_the_sidecar_comes_with_the_feed(browser: Browser, cold: Stack) -> None:
    cold.start("web")
    cold.start("sidecar")
    with browser.new_context(base_url=cold.web_url) as context:
        page = context.new_page()
        # What the page asks for itself would hide what the feed says.
        well = {"web": {"ready": True, "reason": None}, "sidecar": {"reachable": True, "ready": True, "last_seq": 0}}
        page.route("**/pipeline", lambda route: route.fulfill(json=well | {"age": 0, "last_seq": 0, "lag_events": 0}))
        open_desk(page)
        with stopped([cold.find("sidecar")]):
            expect(page.locator("#status-sidecar")).to_contain_text("down")
            expect(page.locator("#status-summary")).to_contain_text("Sidecar down")
        expect(page.locator("#status-summary")).to_have_text(OK)


def test_a_state_that_is_not_renewed_becomes_unknown(browser: Browser, shared: Stack) -> None:
    with browser.new_context(base_url=shared.web_url) as context:
        page = context.new_page()
        open_desk(page)
        # As after the computer slept for ten minutes.
        page.evaluate("""() => {
            const now = Date.now;
            Date.now = () => now() + 600_000;
            window.seen = [];
            new MutationObserver(() => seen.push(document.querySelector("#status-summary").textContent))
                .observe(document.querySelector("#status"), { childList: true, subtree: true });
        }""")
        wait_for(lambda: any("unknown" in text for text in page.evaluate("seen")), "the states are unknown at once")
        expect(page.locator("#status-summary")).to_have_text(OK)
        expect(page.locator("#cut-off")).to_be_visible()


def test_alerts_that_fire_are_shown_with_their_runbooks(browser: Browser, shared: Stack) -> None:
    with browser.new_context(base_url=shared.web_url) as context:
        page = context.new_page()
        open_desk(page)
        alerts = page.locator("#status-alerts")
        expect(alerts).to_have_attribute("hidden", "")
        names = page.evaluate("""async () => {
            const { StatusBar } = await import("/static/desk/status.js");
            const status = new StatusBar({ pipelineUrl: "/pipeline", unknownMs: 6000, onChange: () => {} });
            const alert = { name: "NoTrades", severity: "critical", summary: "Silent.", runbook_url: "http://p/#a" };
            status.showAlerts([alert, { ...alert, name: "BackupOld", severity: "warning", runbook_url: "" }]);
            status.tick();
            const item = document.querySelector("#status-alerts");
            return [item.className, item.textContent.trim(), item.querySelector("a").href, status.trouble];
        }""")
    assert names[0] == "down"
    assert names[1].split() == ["Alerts", "NoTrades", "BackupOld"]
    assert names[2] == "http://p/#a"
    assert "Alert NoTrades" in names[3]


def test_an_older_state_does_not_replace_a_newer_one(browser: Browser, shared: Stack) -> None:
    with browser.new_context(base_url=shared.web_url) as context:
        page = context.new_page()
        open_desk(page)
        shown = page.evaluate("""async () => {
            const { StatusBar } = await import("/static/desk/status.js");
            const status = new StatusBar({ pipelineUrl: "/pipeline", unknownMs: 6000, onChange: () => {} });
            const sidecar = { reachable: false, ready: false, last_seq: null };
            const older = { web: { ready: false, reason: "locked" }, sidecar, last_seq: null, lag_events: null };
            const newer = { web: { ready: true, reason: null }, sidecar, last_seq: 1, lag_events: 0 };
            status.showPipeline({ age: 0, ...newer });
            status.showPipeline({ age: 60, ...older });
            return status.parts.web.text;
        }""")
    assert shown == "up"


def test_a_send_without_an_answer_is_tried_again_in_sight(browser: Browser, shared: Stack) -> None:
    before = shared.journalled()
    failed: list[Route] = []

    def fail(route: Route) -> None:
        failed.append(route)
        if len(failed) < 3:
            route.abort()
        else:
            route.continue_()

    with browser.new_context(base_url=shared.web_url) as context:
        page = context.new_page()
        open_desk(page)
        page.route("**/trade", fail)
        fill(page, "AGAIN")
        page.keyboard.press("Enter")
        expect(page.locator("#notices")).to_contain_text("Trying again (2 of 8)")
        expect(page.locator("#notices")).to_contain_text("2 AGAIN at 1")
        assert len(failed) == 3
        keys = {parse_qs(route.request.post_data or "")["idempotency_key"][0] for route in failed}
    assert len(keys) == 1
    assert shared.journalled() == before + 1


def test_a_send_that_hangs_can_be_cancelled_and_sent_again_as_the_same_trade(browser: Browser, shared: Stack) -> None:
    before = shared.journalled()
    hung: list[Route] = []

    def hold(route: Route) -> None:
        hung.append(route)

    with browser.new_context(base_url=shared.web_url) as context:
        page = context.new_page()
        open_desk(page)
        page.route("**/trade", hold)
        fill(page, "HUNG")
        page.keyboard.press("Enter")
        expect(page.locator("#notices")).to_contain_text("No answer yet (1 of 8)")
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("alert")).to_contain_text("Cancelled: accepted or not is unknown.")
        expect(page.locator("#trades tr.pending")).to_have_count(0)
        page.unroute("**/trade")
        page.locator("#send").click()
        expect(page.locator("#notices")).to_contain_text("2 HUNG at 1")
    assert shared.journalled() == before + 1


RECORD = """
window.Notification = class extends EventTarget {
  static permission = "granted";
  static async requestPermission() { return "granted"; }
  constructor(title, { body }) { super(); record(body); }
};
"""


def test_trouble_and_silence_are_noticed_once_from_all_windows_for_who_has_asked(
    browser: Browser, shared: Stack
) -> None:
    noticed: list[str] = []
    with browser.new_context(base_url=shared.web_url) as context:
        context.expose_function("record", lambda text: noticed.append(text))  # noqa: PLW0108 - Playwright takes no built-in method
        context.add_init_script(RECORD)
        pages = [context.new_page() for _ in range(2)]
        for page in pages:
            open_desk(page)
        pages[0].locator("#status-summary").click()
        pages[0].get_by_role("button", name="Notify me of trouble").click()
        for page in pages:
            expect(page.locator("#notices-ask")).to_have_text("Notices are on")
            page.evaluate("""async () => {
                const { Notices } = await import("/static/desk/notices.js");
                window.made = new Notices({ afterMs: 0 });
                window.update = async (kind, text) => {
                    made.update(kind, text);
                    await new Promise((resolve) => setTimeout(resolve, 1));
                    await navigator.locks.request(`notices-${kind}`, () => {});
                };
            }""")

        def update(kind: str, text: str) -> None:
            for page in pages:
                page.evaluate("([kind, text]) => update(kind, text)", [kind, text])

        update("trouble", "Sidecar down")
        update("trouble", "Web no answer")
        update("silence", "Silent: bot-1")
        update("silence", "Silent: bot-1, bot-2")
        update("trouble", "")
        pages[1].evaluate("localStorage.setItem('notices', 'off')")
        update("trouble", "Sidecar down")
        wait_for(lambda: pages[0].evaluate("1") and len(noticed) == 4, "each is noticed")
        assert noticed == ["Sidecar down", "Silent: bot-1", "Silent: bot-1, bot-2", "All systems operational"]


def test_a_source_that_is_silent_for_longer_than_it_may_is_named(browser: Browser, cold: Stack) -> None:
    cold.settings["SILENCE_AFTER"] = "quiet-bot=1s,*=1h"
    cold.start()
    for source in ("quiet-bot", "loud-bot"):
        assert cold.post(TRADE | {"source": source}).status_code == 201
    with browser.new_context(base_url=cold.web_url) as context:
        page = context.new_page()
        page.goto("/")
        expect(page.locator("#status-summary")).to_contain_text(re.compile("^quiet-bot silent for [0-9]+ s$"))
        expect(page.locator("#tile-sources")).to_have_text("1 active")
        expect(page.locator("#tile-silent")).to_have_text("1 silent")
        expect(page.locator("#status-mark")).to_have_class("warn")

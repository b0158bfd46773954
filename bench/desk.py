"""The desk in a real browser, its latency and its load in a flood of trades: ``python -m bench.desk``."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

from playwright.sync_api import Browser, CDPSession, Page, expect, sync_playwright

from common.event import Event
from common.journal.store import Journal
from common.timestamps import format_timestamp, now
from tests.conftest import ROOT, append, require_program
from tests.system.stack import Stack

TRADES = 100
FLOOD_RATE = 2000
FLOOD_SECONDS = 60
STEP_SECONDS = 0.02
SYMBOLS = 20

WATCH = """() => {
  window.seen = {};
  window.longest = 0;
  new MutationObserver((changes) => {
    for (const change of changes) for (const row of change.addedNodes) window.seen[row.dataset.seq] = Date.now();
  }).observe(document.querySelector("#trades tbody"), { childList: true });
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
  }).observe({ type: "longtask", buffered: false });
}"""


def open_desk(browser: Browser, stack: Stack) -> Page:
    """Open the desk and watch its table of trades."""
    page = browser.new_context(base_url=stack.web_url, viewport={"width": 1440, "height": 900}).new_page()
    page.goto("/")
    expect(page.locator("#status-feed")).to_contain_text("live")
    page.evaluate(WATCH)
    return page


def measure_latency(browser: Browser, stack: Stack) -> None:
    """Post trades one by one and print the time from acceptance until the desk shows them."""
    pages = [open_desk(browser, stack) for _ in range(2)]
    accepted: dict[str, float] = {}
    for _ in range(TRADES):
        answer = stack.post().json()
        accepted[str(answer["seq"])] = time.time() * 1000
        time.sleep(0.05)
    time.sleep(1)
    for page in pages:
        seen = page.evaluate("window.seen")
        delays = [seen[seq] - at for seq, at in accepted.items()]
        p95 = quantiles(delays, n=100)[94]
        sys.stdout.write(
            f"answered to visible, {len(delays)} trades: median {median(delays):.0f} ms, p95 {p95:.0f} ms\n"
        )
        page.context.close()


def measure_heap(session: CDPSession) -> float:
    """Return the page's heap in MB, after a garbage collection."""
    session.send("HeapProfiler.collectGarbage")
    figures = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    return float(figures["JSHeapUsedSize"]) / 1e6


def measure_flood(browser: Browser, stack: Stack) -> None:
    """Append FLOOD_RATE trades per second with one desk open, and print the load on the page."""
    page = open_desk(browser, stack)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    time.sleep(2)
    page.evaluate("window.longest = 0")
    before = measure_heap(session)
    page.evaluate("window.longest = 0")
    command = [sys.executable, "-m", "bench.desk", stack.settings["JOURNAL_PATH"]]
    began = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True, timeout=FLOOD_SECONDS * 3)
    seconds = time.monotonic() - began
    last = stack.journalled()
    expect(page.locator("#trades tbody tr").first).to_have_attribute("data-seq", str(last), timeout=20_000)
    longest = page.evaluate("window.longest")
    after = measure_heap(session)
    rows = page.evaluate("document.querySelectorAll('#trades tbody tr').length")
    shown = page.locator("#tile-trades").inner_text()
    sys.stdout.write(
        f"flood of {FLOOD_RATE * FLOOD_SECONDS / seconds:.0f} trades/s for {seconds:.0f} s: "
        f"longest block of the main thread {longest:.0f} ms, heap {before:.1f} MB before and {after:.1f} MB after, "
        f"{rows} rows in the table, {shown} trades on the tile of {last}\n"
    )
    page.context.close()


def append_flood(path: Path) -> None:
    """Append trades at FLOOD_RATE in commits like those of web workers: HTTP on two cores is slower."""
    commit_size = int(FLOOD_RATE * STEP_SECONDS)
    with Journal(path, "normal") as journal:
        began = time.monotonic()
        for step in range(int(FLOOD_SECONDS / STEP_SECONDS)):
            timestamp, first = format_timestamp(now()), step * commit_size
            append(journal,
                [
                    Event(
                        timestamp, f"SYMBOL{n % SYMBOLS}", "BUY" if n % 3 else "SELL", f"{100 + n % 97}.25", "0.5",
                        seq=0, id=f"flood-{n}", journal_id="", accepted_at=timestamp,
                    )
                    for n in range(first, first + commit_size)
                ]
            )  # fmt: skip
            time.sleep(max(0.0, began + (step + 1) * STEP_SECONDS - time.monotonic()))


def main() -> None:
    """Measure and print."""
    if len(sys.argv) > 1:
        append_flood(Path(sys.argv[1]))
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=require_program("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for measure in (measure_latency, measure_flood):
            with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), LOG_LEVEL="WARNING") as stack:
                stack.start()
                measure(browser, stack)
        browser.close()


if __name__ == "__main__":
    main()

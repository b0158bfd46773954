"""Twelve desks in one browser over HTTP/1.1: leaders closed, parts stopped: ``python -m bench.windows``."""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

from playwright.sync_api import Page, expect, sync_playwright

from bench.desk import WATCH
from tests.conftest import require_program
from tests.system.stack import Stack

WINDOWS = 12
TRADES = 60
CLOSED = 3
WAIT_MS = 60_000


def say(text: str) -> None:
    """Print a figure with the machine's load."""
    sys.stdout.write(f"{text}; load {os.getloadavg()[0]:.1f}\n")
    sys.stdout.flush()


def measure_delivery(pages: list[Page], stack: Stack) -> None:
    """Post trades and print the time from the answer until each page lists them."""
    accepted: dict[str, float] = {}
    for _ in range(TRADES):
        seq = str(stack.post().json()["seq"])
        accepted[seq] = time.time() * 1000
        time.sleep(0.1)
    expect(pages[-1].locator("#trades tbody tr").first).to_have_attribute("data-seq", seq, timeout=WAIT_MS)
    time.sleep(2)
    delays, missing = [], 0
    for page in pages:
        seen = page.evaluate("window.seen")
        missing += sum(each not in seen for each in accepted)
        delays += [seen[each] - at for each, at in accepted.items() if each in seen]
    p95 = quantiles(delays, n=100)[94]
    say(
        f"{len(pages)} desks, {TRADES} trades: answered to listed median {median(delays):.0f} ms, "
        f"p95 {p95:.0f} ms, {missing} missing"
    )


def measure_trouble(pages: list[Page], stack: Stack) -> None:
    """Stop the sidecar, then the workers, and print how long a green word stays on any page."""
    everything = ["web", "sidecar", "lag", "feed"]
    for name, processes, parts in (
        ("sidecar stopped", [stack.find("sidecar")], ["sidecar"]),
        ("workers stopped", list(stack.workers()), everything),
    ):
        began = time.monotonic()
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        for page in pages:
            for part in parts:
                expect(page.locator(f"#status-{part}.ok")).to_have_count(0, timeout=WAIT_MS)
        say(f"{name}, {len(pages)} desks: nothing of it green after {time.monotonic() - began:.1f} s")
        for process in processes:
            process.send_signal(signal.SIGCONT)
        for page in pages:
            expect(page.locator("#status li.ok")).to_have_count(len(everything), timeout=WAIT_MS)


def main() -> None:
    """Measure and print."""
    with (
        sync_playwright() as playwright,
        tempfile.TemporaryDirectory() as folder,
        Stack(Path(folder), LOG_LEVEL="WARNING") as stack,
    ):
        stack.start()
        stack.accept(1)
        program = require_program("chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(base_url=stack.web_url)
        pages, loads = [], []
        for _ in range(WINDOWS):
            began = time.monotonic()
            page = context.new_page()
            page.goto("/")
            expect(page.locator("#status-feed")).to_contain_text("live", timeout=WAIT_MS)
            loads.append(time.monotonic() - began)
            page.evaluate(WATCH)
            pages.append(page)
        say(f"{WINDOWS} desks: loaded and live after {median(loads):.1f} s in the median, {max(loads):.1f} s at most")
        say(f"feeds open: {stack.total('webapp_feed_subscribers'):.0f}")
        measure_delivery(pages, stack)
        for _ in range(CLOSED):
            pages.pop(0).close()
            stack.accept(10)
        last = stack.journalled()
        rows = pages[-1].locator("#trades tbody tr")
        expect(rows.first).to_have_attribute("data-seq", str(last), timeout=WAIT_MS)
        listed = [int(each) for each in rows.evaluate_all("rows => rows.map((row) => row.dataset.seq)")]
        twice = len(listed) - len(set(listed))
        gaps = len(set(range(min(listed), last + 1)) - set(listed))
        say(f"leader closed {CLOSED} times: {gaps} gaps, {twice} duplicates in {len(listed)} rows")
        measure_trouble(pages, stack)
        browser.close()


if __name__ == "__main__":
    main()

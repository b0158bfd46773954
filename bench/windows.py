"""Desks in one browser over HTTP/1.1: leaders closed, parts stopped, a row pointed at: ``python -m bench.windows``."""

import contextlib
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from statistics import median, quantiles

import psutil
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from bench.desk import WATCH
from common.journal.store import Journal
from common.timestamps import format_timestamp, now
from tests.conftest import ROOT, append, make_event, require_program
from tests.system.stack import Stack, free_ports

WINDOWS = (1, 6, 12)
TRADES = 50
"""As many as the list has rows: of more, a page that draws seldom would pass over the oldest."""

HOLD_SECONDS = 5
HOLD_RATE = 200
VIEW_SECONDS = 180
VIEW_RATE = 15
CLOSED = 3
WAIT_MS = 60_000
PARTS = ["web", "sidecar", "lag", "feed"]


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


def wait_until_nothing_is_green(pages: list[Page], parts: list[str]) -> float:
    """Return after how many seconds no page shows one of the parts as good."""
    began = time.monotonic()
    for page in pages:
        for part in parts:
            expect(page.locator(f"#status-{part}.ok")).to_have_count(0, timeout=WAIT_MS)
    return time.monotonic() - began


def wait_until_all_is_green(pages: list[Page]) -> None:
    """Wait until every page shows every part as good."""
    for page in pages:
        expect(page.locator("#status li.ok")).to_have_count(len(PARTS), timeout=WAIT_MS)


def measure_trouble(pages: list[Page], stack: Stack, network: psutil.Process) -> None:
    """Stop the sidecar, the workers and the network, and print how long a green word stays on any page."""
    for name, processes, parts in (
        ("sidecar stopped", [stack.find("sidecar")], ["sidecar"]),
        ("workers stopped", list(stack.workers()), PARTS),
        ("network cut", [network], PARTS),
    ):
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        seconds = wait_until_nothing_is_green(pages, parts)
        say(f"{name}, {len(pages)} desks: nothing of it green after {seconds:.1f} s")
        for process in processes:
            process.send_signal(signal.SIGCONT)
        wait_until_all_is_green(pages)


def measure_retry(page: Page, stack: Stack) -> None:
    """Send the form while the workers are stopped, and print when the page says that it tries again."""
    page.bring_to_front()
    for name, text in (("symbol", "RETRY"), ("qty", "1"), ("price", "10")):
        page.locator(f"[name={name}]").fill(text)
    for process in stack.workers():
        process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    page.locator("#send").click()
    expect(page.locator("#notices")).to_contain_text(re.compile("No answer yet|Trying again"), timeout=WAIT_MS)
    say(f"form sent to stopped workers: notice after {(time.monotonic() - began) * 1000:.0f} ms")
    for process in stack.workers():
        process.send_signal(signal.SIGCONT)
    wait_until_all_is_green([page])


def post_beside(stack: Stack, rate: int, seconds: float, call: Callable[[], None]) -> None:
    """Append trades to the journal at a rate while ``call`` runs."""
    flood = threading.Thread(target=append_steadily, args=(Path(stack.settings["JOURNAL_PATH"]), rate, seconds))
    flood.start()
    try:
        call()
    finally:
        flood.join()


def append_steadily(path: Path, rate: int, seconds: float) -> None:
    """Append ``rate`` trades a second."""
    with Journal(path, "normal") as journal:
        began = time.monotonic()
        for n in range(int(rate * seconds)):
            at = format_timestamp(now())
            append(journal, [make_event(0, symbol=f"SYMBOL{n % 20}", price=str(2000 + n % 97), ts=at, accepted_at=at)])
            time.sleep(max(0.0, began + n / rate - time.monotonic()))


def measure_pointer(page: Page, stack: Stack) -> None:
    """Point at a row of the tape while trades arrive, and print whether it stays."""
    page.bring_to_front()
    first = page.locator("#trades tbody tr").first

    def hold() -> None:
        first.hover()
        seqs = set()
        until = time.monotonic() + HOLD_SECONDS
        while time.monotonic() < until:
            seqs.add(page.evaluate("document.querySelector('#trades tbody tr:hover')?.dataset.seq"))
        say(f"pointer rested {HOLD_SECONDS} s at {HOLD_RATE} trades/s: {len(seqs)} different trade under it")

    post_beside(stack, HOLD_RATE, HOLD_SECONDS + 1, hold)
    page.mouse.move(0, 0)


def measure_view(page: Page, stack: Stack) -> None:
    """Point at an old bar of the chart while trades arrive, and print whether another one gets under the pointer."""
    path = Path(stack.settings["JOURNAL_PATH"])
    with Journal(path, "normal") as journal:
        begin = now() - timedelta(minutes=30)
        for n in range(1800):
            at = format_timestamp(begin + timedelta(seconds=n))
            append(journal, [make_event(0, symbol="SYMBOL0", price=str(100 + n), ts=at, accepted_at=at)])
    page.goto("/?symbol=SYMBOL0&interval=5s&window=30m")
    legend = page.locator("#chart-legend")
    expect(legend).to_contain_text("O 1")
    for x in (300, 310):
        page.locator("#chart").hover(position={"x": x, "y": 100})
    page.mouse.wheel(-200, 0)
    time.sleep(1)
    seen = [legend.inner_text()]
    flood = threading.Thread(target=append_steadily, args=(path, VIEW_RATE, VIEW_SECONDS))
    flood.start()
    while flood.is_alive():
        time.sleep(1)
        if seen[-1] != legend.inner_text():
            seen.append(legend.inner_text())
    say(f"{VIEW_SECONDS} s at {VIEW_RATE} trades/s: {len(seen)} bar under the pointer on the chart")


def open_desks(context: BrowserContext, count: int) -> list[Page]:
    """Open desks one after the other, and print how long they took to be live."""
    pages, loads = [], []
    for _ in range(count):
        began = time.monotonic()
        page = context.new_page()
        page.goto("/")
        expect(page.locator("#status-feed")).to_contain_text("live", timeout=WAIT_MS)
        loads.append(time.monotonic() - began)
        page.evaluate(WATCH)
        pages.append(page)
    say(f"{count} desks: loaded and live after {median(loads):.1f} s in the median, {max(loads):.1f} s at most")
    return pages


def measure_windows(context: BrowserContext, stack: Stack, network: psutil.Process, count: int) -> None:
    """Open desks, close leaders if there are others, and stop parts."""
    pages = open_desks(context, count)
    say(f"feeds open: {stack.total('webapp_feed_subscribers'):.0f}")
    measure_delivery(pages, stack)
    for _ in range(CLOSED if count > CLOSED else 0):
        pages.pop(0).close()
        stack.accept(10)
    last = stack.journalled()
    rows = pages[-1].locator("#trades tbody tr")
    expect(rows.first).to_have_attribute("data-seq", str(last), timeout=WAIT_MS)
    listed = [int(each) for each in rows.evaluate_all("rows => rows.map((row) => row.dataset.seq)")]
    twice = len(listed) - len(set(listed))
    gaps = len(set(range(min(listed), last + 1)) - set(listed))
    say(f"{count - len(pages)} leaders closed: {gaps} gaps, {twice} duplicates in {len(listed)} rows")
    measure_trouble(pages, stack, network)
    measure_retry(pages[0], stack)
    for page in pages:
        page.close()


def main() -> None:
    """Measure and print."""
    with (
        sync_playwright() as playwright,
        tempfile.TemporaryDirectory() as folder,
        Stack(Path(folder), LOG_LEVEL="WARNING") as stack,
        contextlib.ExitStack() as started,
    ):
        stack.start()
        stack.accept(1)
        program = require_program("chromium")
        (port,) = free_ports(1)
        command = [sys.executable, "-m", "bench.wire", str(port), stack.settings["WEBAPP_HTTP_PORT"]]
        network = started.enter_context(psutil.Popen(command, cwd=ROOT))
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(base_url=f"http://127.0.0.1:{port}")
        for count in WINDOWS:
            measure_windows(context, stack, network, count)
        page = context.new_page()
        measure_view(page, stack)
        measure_pointer(page, stack)
        browser.close()
        network.terminate()


if __name__ == "__main__":
    main()

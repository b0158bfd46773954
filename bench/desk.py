"""The desk in a real browser, its latency and its load in a flood of trades: ``python -m bench.desk``.

In a flood the servers and the writer of the trades run at a lower priority than the browser, since on a user's computer
they do not run at all. All share the cores of this one, so times by the clock still have time of theirs in them.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from playwright.sync_api import Browser, CDPSession, Page, expect, sync_playwright

from common.event import Event
from common.journal.store import Journal
from common.timestamps import format_timestamp, now
from tests.conftest import ROOT, append, require_program
from tests.system.stack import Stack

TRADES = 100
FLOOD_SECONDS = 30
STEP_SECONDS = 0.02
SERVERS_NICE = 15
LONG_MS = 50
"""The length from which browsers call a task long."""


class Flood(NamedTuple):
    """Trades a second, and their symbols; with 0 each trade has a new one."""

    rate: int
    symbols: int


FLOODS = [Flood(2000, 20), Flood(500, 0)]

WATCH = """() => {
  window.seen = {};
  const see = (row) => { window.seen[row.dataset.seq] ??= Date.now(); };
  // A row is new, or another trade is written into it.
  const rows = document.querySelector("#trades tbody");
  new MutationObserver((changes) => {
    for (const { type, target, addedNodes } of changes) (type === "childList" ? addedNodes : [target]).forEach(see);
  }).observe(rows, { childList: true, subtree: true, attributeFilter: ["data-seq"] });
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


def describe_tasks(trace: bytes) -> str:
    """Say how long the tasks of the page's main thread in a trace were, by the clock and in processor time."""
    events = json.loads(trace)["traceEvents"]
    mains = {
        (each["pid"], each["tid"])
        for each in events
        if each["name"] == "thread_name" and each["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        each
        for each in events
        if each["ph"] == "X" and each["name"].endswith("RunTask") and (each["pid"], each["tid"]) in mains
    ]
    texts = []
    for name, field in (("by the clock", "dur"), ("of processor time", "tdur")):
        lengths = sorted((each.get(field, 0) / 1000 for each in tasks), reverse=True)
        longest = ", ".join(f"{length:.0f}" for length in lengths[:3])
        long = sum(length > LONG_MS for length in lengths)
        texts.append(f"longest tasks {longest} ms {name}, {long} of {len(lengths)} over {LONG_MS} ms")
    return "; ".join(texts)


def lower_servers(stack: Stack) -> None:
    """Give the browser the processor when it and the servers want it at once."""
    for process in (stack.find("web"), *stack.workers(), stack.find("sidecar")):
        process.nice(SERVERS_NICE)


def measure_flood(browser: Browser, stack: Stack, flood: Flood) -> None:
    """Append trades with one desk open, and print the load on the page."""
    page = open_desk(browser, stack)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    lower_servers(stack)
    time.sleep(2)
    before = measure_heap(session)
    browser.start_tracing(page=page, categories=["toplevel"])
    command = [sys.executable, "-m", "bench.desk", stack.settings["JOURNAL_PATH"], *map(str, flood)]
    began = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True, timeout=FLOOD_SECONDS * 3)
    seconds = time.monotonic() - began
    last = stack.journalled()
    expect(page.locator("#trades tbody tr").first).to_have_attribute("data-seq", str(last), timeout=60_000)
    tasks = describe_tasks(browser.stop_tracing())
    after = measure_heap(session)
    rows = page.evaluate("document.querySelectorAll('#trades tbody tr, #symbols tbody tr').length")
    shown = page.locator("#tile-trades").inner_text()
    sys.stdout.write(
        f"flood of {last / seconds:.0f} trades/s for {seconds:.0f} s, {flood.symbols or last} symbols: "
        f"{tasks}; heap {before:.1f} MB before and {after:.1f} MB after, {rows} rows in the tables, "
        f"{shown} trades on the tile of {last}; load {os.getloadavg()[0]:.1f}\n"
    )
    page.context.close()


def append_flood(path: Path, flood: Flood) -> None:
    """Append trades in commits like those of web workers: HTTP on two cores is slower."""
    os.nice(SERVERS_NICE)
    commit_size = int(flood.rate * STEP_SECONDS)
    with Journal(path, "normal") as journal:
        began = time.monotonic()
        for step in range(int(FLOOD_SECONDS / STEP_SECONDS)):
            timestamp, first = format_timestamp(now()), step * commit_size
            append(journal,
                [
                    Event(
                        timestamp, f"SYMBOL{n % (flood.symbols or n + 1)}", "BUY" if n % 3 else "SELL",
                        f"{100 + n % 97}.25", "0.5", seq=0, id=f"flood-{n}", journal_id="", accepted_at=timestamp,
                    )
                    for n in range(first, first + commit_size)
                ]
            )  # fmt: skip
            time.sleep(max(0.0, began + (step + 1) * STEP_SECONDS - time.monotonic()))


def main() -> None:
    """Measure and print."""
    if len(sys.argv) > 1:
        append_flood(Path(sys.argv[1]), Flood(*map(int, sys.argv[2:])))
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=require_program("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        floods = [partial(measure_flood, flood=flood) for flood in FLOODS]
        measures: list[Callable[[Browser, Stack], None]] = [measure_latency, *floods]
        for measure in measures:
            with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), LOG_LEVEL="WARNING") as stack:
                stack.start()
                measure(browser, stack)
        browser.close()


if __name__ == "__main__":
    main()

"""Pictures of the desk for the docs: ``python -m bench.desk_picture`` fills a journal and opens the desk."""

import random
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import expect, sync_playwright

from bench.picture import IMAGES
from common.event import Event
from common.journal.store import Journal
from common.timestamps import format_timestamp, now
from tests.conftest import append, require_program
from tests.system.stack import Stack

TRADES: Final = 3600
MINUTES: Final = 14
MARKETS: Final = (
    # A symbol, how often it is traded, a price with its places, and a typical quantity.
    ("BTCUSDT", 45, 63_800.0, 2, 0.2),
    ("ETHUSDT", 22, 3_204.0, 2, 2.0),
    ("SOL/USDT:USDT", 13, 148.22, 2, 20.0),
    ("kPEPE/USDT", 8, 0.0000121, 10, 90_000.0),
    ("XRPETH", 7, 0.00126, 8, 400.0),
    ("BTCJPY", 5, 9_204_118.0, 0, 0.01),
)
PICTURES: Final[dict[str, dict[str, Any]]] = {
    "desk-light": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "desk-dark": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
    "desk-phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "device_scale_factor": 2},
}


def draw_trades() -> Iterator[Event]:
    """Yield made-up trades of the last minutes: the same ones in every run."""
    dice = random.Random(18)
    prices = {symbol: price for symbol, _, price, _, _ in MARKETS}
    weights = [share for _, share, _, _, _ in MARKETS]
    begin = now() - timedelta(minutes=MINUTES)
    for n in range(TRADES):
        ((symbol, _, _, places, quantity),) = dice.choices(MARKETS, weights)
        prices[symbol] *= 1 + dice.gauss(0.000005, 0.0004)
        at = format_timestamp(begin + timedelta(minutes=MINUTES * (n + dice.random()) / TRADES))
        yield Event(
            at, symbol, dice.choice(("BUY", "SELL")), f"{prices[symbol]:.{places}f}",
            f"{quantity * dice.uniform(0.05, 2):.4f}", seq=0, id=f"picture-{n}", journal_id="", accepted_at=at,
            source=dice.choice(("bot-1", "bot-2", "desk")),
        )  # fmt: skip


def main() -> None:
    """Run the stack and write the pictures."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(Path(folder), LOG_LEVEL="WARNING") as stack,
        sync_playwright() as playwright,
    ):
        stack.start()
        with Journal(Path(stack.settings["JOURNAL_PATH"])) as journal:
            append(journal, draw_trades())
        stack.wait_counted(TRADES, 60)
        browser = playwright.chromium.launch(executable_path=require_program("chromium"), args=["--no-sandbox"])
        for name, options in PICTURES.items():
            with browser.new_context(base_url=stack.web_url, **options) as context:
                page = context.new_page()
                page.goto("/?symbol=BTCUSDT&interval=5s&window=15m")
                expect(page.locator("#chart-legend")).to_contain_text("trade", timeout=60_000)
                expect(page.locator("#tile-sources")).to_contain_text("3 active", timeout=60_000)
                expect(page.locator("#status-summary")).to_have_text("All systems operational", timeout=60_000)
                # The form has the focus, whose ring would be the brightest thing in the picture.
                page.locator("h1").first.evaluate("() => document.activeElement.blur()")
                # The chart paints in the frames after it has its bars.
                page.evaluate("() => new Promise((done) => setTimeout(done, 1000))")
                page.screenshot(path=IMAGES / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()

"""Every example of docs/clients.md, as it is on the page, against a real stack."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

import pytest
import requests
from playwright.sync_api import Browser

from common.event import Event
from common.journal.store import Journal
from tests.conftest import ROOT, require_program
from tests.system.stack import Stack
from tests.waiting import wait_for
from webapp.input.hook_payload import NAMES

PAGE: Final = (ROOT / "docs" / "clients.md").read_text()
WEB: Final = "http://127.0.0.1:8000"

EXAMPLES: Final = [
    ("curl", "sh"),
    ("Python", "python"),
    ("JavaScript", "js"),
    ("A bot", "python"),
    ("Webhooks", "sh"),
    ("TradingView", "json"),
    ("TradingView", "json"),
    ("freqtrade", "json"),
    ("ccxt", "python"),
    ("ccxt", "json"),
]
"""The heading and the language of each example on the page; each is run below, by its heading.

The commands, those of webhooks too, are also run by test_commands.py, in the order of the pages.
"""


def list_examples() -> list[tuple[str, str, str]]:
    found = []
    heading = ""
    for title, language, code in re.findall(r"^#+ ([^\n]*)$|^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        heading = title or heading
        if code:
            found.append((heading, language, code))
    return found


def read(heading: str, language: str, number: int = 0) -> str:
    return [code for title, kind, code in list_examples() if (title, kind) == (heading, language)][number]


class LossyProxy:
    """Passes requests on, but loses the answer to the first POST: its client does not know what became of it."""

    def __init__(self, target: str) -> None:
        self.keys: list[str | None] = []
        proxy = self

        class Connection(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                answer = requests.post(target + self.path, body, headers=headers, timeout=60)
                proxy.keys.append(self.headers["Idempotency-Key"])
                if len(proxy.keys) == 1:
                    self.close_connection = True
                    return
                self.send_response(answer.status_code)
                self.send_header("Content-Type", answer.headers["Content-Type"])
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Connection)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def proxy(shared: Stack) -> Iterator[LossyProxy]:
    with LossyProxy(shared.web_url) as proxy:
        yield proxy


def read_journal(stack: Stack, after: int) -> list[Event]:
    with Journal(Path(stack.settings["JOURNAL_PATH"])) as journal:
        return journal.read_after(after)


def run(command: list[str], code: str, **environ: str) -> str:
    done = subprocess.run(command, input=code, capture_output=True, text=True, timeout=60, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def describe(event: Event) -> tuple[str, str, str, str, str]:
    return event.symbol, event.side, event.price, event.qty, event.source


def test_every_example_on_the_page_is_run_here() -> None:
    assert [(heading, language) for heading, language, _ in list_examples()] == EXAMPLES


def test_the_page_lists_the_names_of_each_field() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (`.*) \|$", PAGE, re.MULTILINE))
    assert {field: tuple(re.findall(r"`([^`]+)`", row.partition(":")[0])) for field, row in rows.items()} == NAMES | {
        "fee": ("fee", "cost")
    }


def test_curl(shared: Stack) -> None:
    before = shared.journalled()
    command = read("curl", "sh").replace(WEB, shared.web_url)
    for _ in range(2):
        assert '"seq":' in run(["bash"], command, PATH="/usr/local/bin:/usr/bin:/bin")
    (event,) = read_journal(shared, before)
    assert describe(event) == ("BTCUSDT", "BUY", "64210.50", "0.25", "shell")


def test_python_sends_a_trade_again_when_its_answer_was_lost(shared: Stack, proxy: LossyProxy) -> None:
    before = shared.journalled()
    said = run([sys.executable, "-"], read("Python", "python").replace(WEB, proxy.url))
    (event,) = read_journal(shared, before)
    assert describe(event) == ("BTCUSDT", "BUY", "64210.50", "0.25", "python")
    assert said == f"accepted as {event.seq}\n"
    assert len(proxy.keys) == 2
    assert len(set(proxy.keys) - {None}) == 1


def test_javascript_sends_a_trade_again_when_its_answer_was_lost(shared: Stack, proxy: LossyProxy) -> None:
    node = require_program("node")
    before = shared.journalled()
    said = run([node, "--input-type=module", "-"], read("JavaScript", "js").replace(WEB, proxy.url))
    (event,) = read_journal(shared, before)
    assert describe(event) == ("BTCUSDT", "SELL", "64210.50", "0.25", "javascript")
    assert said == f"accepted as {event.seq}\n"
    assert len(proxy.keys) == 2
    assert len(set(proxy.keys) - {None}) == 1


def test_javascript_in_a_browser(shared: Stack, browser: Browser) -> None:
    before = shared.journalled()
    page = browser.new_page(base_url=shared.web_url)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto("/healthz")
    page.evaluate(f"async () => {{ {read('JavaScript', 'js').replace(WEB, shared.web_url)} }}")
    (event,) = read_journal(shared, before)
    wait_for(lambda: said == [f"accepted as {event.seq}"], "the page says so")
    page.close()


def test_a_bot_of_fifteen_lines_trades(shared: Stack) -> None:
    code = read("A bot", "python")
    assert len(code.splitlines()) <= 15
    before = shared.journalled()
    quick = code.replace(WEB, shared.web_url).replace("time.sleep(1)", "time.sleep(0.001)")
    assert quick.count("0.001)") == 2
    with subprocess.Popen([sys.executable, "-c", quick], stderr=subprocess.PIPE, text=True) as bot:
        try:
            wait_for(lambda: bot.poll() is not None or shared.journalled() >= before + 4, "the bot has traded")
            assert bot.poll() is None, bot.communicate()[1]
        finally:
            bot.kill()
    events = read_journal(shared, before)
    assert [event.side for event in events[:4]] == ["BUY", "SELL", "BUY", "SELL"]
    assert {(event.symbol, event.qty, event.source) for event in events} == {("BTCUSDT", "0.01", "bot")}


FILLED: Final = {
    "{{ticker}}": "ES1!",
    "{{strategy.order.action}}": "sell",
    "{{strategy.order.contracts}}": "2",
    "{{strategy.order.price}}": "6900.25",
    "{{close}}": "6900.5",
    "{{timenow}}": "2026-01-31T09:30:00Z",
}
"""What TradingView puts in the place of each placeholder."""


def post(stack: Stack, body: str | dict[str, str], kind: str | None = None) -> requests.Response:
    """Post to the webhook, and post again when the disk was slow."""
    headers = {} if kind is None else {"Content-Type": kind}
    for _ in range(10):
        answer = requests.post(f"{stack.web_url}/hooks/open", body, headers=headers, timeout=60)
        if answer.status_code != 503:
            break
    return answer


@pytest.mark.parametrize(
    ("number", "trade"),
    [(0, ("ES1!", "SELL", "6900.25", "2", "trend")), (1, ("ES1!", "BUY", "6900.5", "0.25", ""))],
    ids=["strategy", "indicator"],
)
def test_tradingview(shared: Stack, number: int, trade: tuple[str, ...]) -> None:
    message = read("TradingView", "json", number)
    unfilled = post(shared, message, "text/plain; charset=utf-8")
    assert unfilled.status_code == 422
    for placeholder in re.findall(r"\{\{.*?\}\}", message):
        assert f"{placeholder} is not accepted; expected " in unfilled.json()["detail"]
        message = message.replace(placeholder, FILLED[placeholder])
    before = shared.journalled()
    # Its type is that of JSON when the message is JSON; a message that was edited may not be.
    answers = [post(shared, message, kind).json() for kind in ("application/json; charset=utf-8", "text/plain")]
    (event,) = read_journal(shared, before)
    assert (describe(event), event.ts) == (trade, "2026-01-31T09:30:00.000000Z")
    assert answers[1]["duplicate"]


@pytest.mark.parametrize("direction", ["Long", "Short"])
@pytest.mark.parametrize("kind", ["form", "json"])
def test_freqtrade(shared: Stack, direction: str, kind: str) -> None:
    webhook = json.loads(read("freqtrade", "json"))["webhook"]
    assert webhook["url"] == f"{WEB}/hooks/open"
    number = int(kind == "json")
    # What freqtrade knows of a fill; it fills in the texts with str.format, and posts them.
    known: dict[str, Any] = {
        "trade_id": 7,
        "pair": "ETH/USDT",
        "direction": direction,
        "amount": 0.015 + number,
        "open_rate": 3000.1,
        "close_rate": 2900.5,
    }
    sides = {"Long": ("BUY", "SELL"), "Short": ("SELL", "BUY")}[direction]
    for name, side, price in zip(("entry_fill", "exit_fill"), sides, ("3000.1", "2900.5"), strict=True):
        before = shared.journalled()
        payload = {key: value.format(**known) for key, value in webhook[name].items()}
        for _ in range(1 + webhook["retries"]):
            answer = post(shared, json.dumps(payload), "application/json") if number else post(shared, payload)
            answer.raise_for_status()
        (event,) = read_journal(shared, before)
        assert describe(event) == ("ETH/USDT", side, price, str(known["amount"]), "freqtrade")
        assert event.ref == "7"


CCXT: Final = """
import json
class kraken:
    def __init__(self, keys):
        pass
    def fetch_my_trades(self, symbol, limit):
        trade = json.loads('''{trade}''')
        assert trade["symbol"] == symbol
        return [trade, trade | {{"id": "other", "fee": {{"cost": None, "currency": None}}}}]
"""
"""A module in the place of ccxt, which returns the trade on the page and another fill of its order."""


def test_ccxt(shared: Stack, tmp_path: Path) -> None:
    (tmp_path / "ccxt.py").write_text(CCXT.format(trade=read("ccxt", "json")))
    before = shared.journalled()
    code = read("ccxt", "python").replace(WEB, shared.web_url)
    for _ in range(2):
        # It prints the fills that were rejected, also those that a slow disk held up, and may be run again.
        wait_for(lambda: run([sys.executable, "-"], code, PYTHONPATH=str(tmp_path)) == "", "all fills are accepted", 60)
    first, second = read_journal(shared, before)
    trade = ("BTC/USD", "SELL", "64210.5", "0.25", "kraken")
    assert (describe(first), first.ts, first.ref, first.fee) == (
        trade,
        "2026-01-31T09:30:00.123000Z",
        "TWRLXH-4BDOE-6WZQRE",
        "25.6842",
    )
    assert (describe(second), second.ref, second.fee) == (trade, "other", None)

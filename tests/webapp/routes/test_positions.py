"""The positions as the web process shows them: the digits of the sidecar, on the page, as JSON and as CSV."""

import csv
import dataclasses
import io
import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from html import unescape
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry

from common.event import SIDES, Event
from common.hosts import HostRule
from common.serving.server import Server
from common.settings import Settings
from sidecar.counters import Counters
from sidecar.position_answer import encode_positions
from sidecar.routes import Registries, Routes
from sidecar.state import State
from tests.conftest import JOURNAL_ID, make_event
from tests.sidecar.test_collector import expose
from webapp import create_app
from webapp.routes.positions import ALL_SOURCES

BROWSER = {"Accept": "text/html"}
LONG = "A" * 63 + "é"
FORMULA = "=SUM(A1)"


@contextmanager
def serve(read: Callable[[], bytes | None]) -> Iterator[int]:
    """Serve positions as the sidecar does, on the port that is returned."""
    server = Server("127.0.0.1", 0)
    registries = Registries(CollectorRegistry(), CollectorRegistry())
    server.open(Routes(HostRule("127.0.0.1"), registries, lambda: None, lambda: None, read_positions=read).answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join(60)
        server.server_close()


@pytest.fixture
def show(settings: Settings) -> Iterator[Callable[..., FlaskClient]]:
    """Return a client of a web process whose sidecar has these positions."""
    with ExitStack() as stack:

        def make(read: Callable[[], bytes | None]) -> FlaskClient:
            port = stack.enter_context(serve(read))
            return create_app(dataclasses.replace(settings, sidecar_http_port=port)).test_client()

        yield make


def count(events: list[Event], limits: Settings) -> State:
    state = State(JOURNAL_ID)
    state.apply(events, "journal", limits)
    return state


def make_events() -> list[Event]:
    chance = random.Random(7)
    symbols = ["BTCUSDT", "BTC/EUR", LONG, FORMULA, "<b>&", "ETHUSDT"]
    return [
        make_event(
            seq,
            symbol=chance.choice(symbols),
            side=chance.choice(SIDES),
            source=chance.choice(["", "bot-1", "grid.2", "bot-3"]),
            price=f"{chance.getrandbits(30)}.{chance.getrandbits(56):018}",
            qty=f"0.{chance.getrandbits(56):018}",
            fee=f"0.{chance.getrandbits(40)}",
        )
        for seq in range(1, 200)
    ]


def read_cells(page: str) -> list[list[str]]:
    """Read the rows of the page's tables, as text."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", page, re.DOTALL)
    cells = (re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in rows)
    return [[unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in row] for row in cells]


def test_page_json_csv_and_metric_have_the_same_digits(show: Callable[..., FlaskClient]) -> None:
    limits = Settings(symbol_limit=5, source_limit=2, silence_after={"bot-1": 60, "bot-9": 60})
    state = count(make_events(), limits)
    client = show(partial(encode_positions, Counters(state, limits), limits))
    answer: Any = client.get("/positions").json
    assert answer["overflow"] == state.overflow_trades > 0
    rows = answer["positions"]
    assert {row["source"] for row in rows} >= {None, "", "other"}

    lines = list(csv.DictReader(io.StringIO(client.get("/positions.csv").text)))
    for row, line in zip(rows, lines, strict=True):
        written = {name: value or "" for name, value in row.items()}
        source = ALL_SOURCES if row["source"] is None else row["source"]
        symbol = f"'{FORMULA}" if row["symbol"] == FORMULA else row["symbol"]
        assert line == written | {"source": source, "symbol": symbol}

    page = client.get("/positions", headers=BROWSER)
    assert (page.status_code, page.mimetype) == (200, "text/html")
    cells = read_cells(page.text)
    numbers = [row[2:9] for row in cells if len(row) == 9]
    shown = [
        [row[name] or "" for name in ("quantity", "average_price", "last_price", "realized_pnl", "unrealized_pnl")]
        + [row["fees"], row["quote"]]
        for row in rows
    ]
    assert numbers[1:] == shown
    assert f"{answer['overflow']} trades of symbols past" in page.text
    assert any(row[0] == "bot-1" and row[5].endswith("too long") for row in cells)
    assert any(row[0] == "bot-9" and row[5] == "never traded" for row in cells)

    samples = expose(state)
    for row in rows:
        if row["source"] is None:
            assert samples[f"trading_position,symbol={row['symbol']}"] == float(row["quantity"])
            assert samples[f"trading_realized_pnl,symbol={row['symbol']}"] == float(row["realized_pnl"])
            assert samples[f"trading_position_average_price,symbol={row['symbol']}"] == float(row["average_price"])


def test_profits_of_different_currencies_are_not_added_up(show: Callable[..., FlaskClient]) -> None:
    trades = [("A/USD", "10", "12"), ("B/USD", "1", "2"), ("C/EUR", "5", "4.5")]
    events = [
        make_event(0, symbol=symbol, side=side, price=price, qty="1", fee="0.5")
        for symbol, *prices in trades
        for side, price in zip(SIDES, prices, strict=True)
    ]
    state = count([make_event(seq, **vars_of(event)) for seq, event in enumerate(events, start=1)], Settings())
    client = show(partial(encode_positions, Counters(state, Settings()), Settings()))
    sums = [row for row in read_cells(client.get("/positions", headers=BROWSER).text) if len(row) == 4]
    assert sums[1:] == [["EUR", "-0.5", "0", "1"], ["USD", "3", "0", "2"]]


def vars_of(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in ("symbol", "side", "price", "qty", "fee")}


def test_positions_that_do_not_go_back_to_the_first_trade_say_so(show: Callable[..., FlaskClient]) -> None:
    state = count([make_event(8), make_event(9)], Settings())
    assert state.positions is not None
    state.positions.after_seq = 7
    page = (
        show(partial(encode_positions, Counters(state, Settings()), Settings())).get("/positions", headers=BROWSER).text
    )
    assert "Trades up to #7 were deleted from the journal before positions were kept" in page
    assert make_event(8).accepted_at[11:19] in page


def test_before_the_first_trade_there_are_no_positions(show: Callable[..., FlaskClient]) -> None:
    client = show(partial(encode_positions, Counters(State(JOURNAL_ID), Settings()), Settings()))
    answer: Any = client.get("/positions").json
    assert (answer["positions"], answer["overflow"]) == ([], 0)
    assert "No trades yet." in client.get("/positions", headers=BROWSER).text
    assert client.get("/positions.csv").text.count("\n") == 1


@pytest.mark.parametrize("path", ["/positions", "/positions.csv"])
def test_positions_that_are_off_are_not_shown_as_none(path: str, show: Callable[..., FlaskClient]) -> None:
    client = show(lambda: None)
    answer: Any = client.get(path)
    assert (answer.status_code, answer.json["reason"]) == (404, "positions_off")
    page = client.get(path, headers=BROWSER)
    assert page.status_code == 404
    assert 'POSITIONS is "off"' in unescape(page.text)


@pytest.mark.parametrize("body", [b"x", b"[]", b'{"positions": 1}'])
def test_another_program_at_the_sidecars_address_is_no_sidecar(body: bytes, show: Callable[..., FlaskClient]) -> None:
    answer: Any = show(lambda: body).get("/positions")
    assert (answer.status_code, answer.json["reason"]) == (503, "sidecar_unreachable")
    assert "another program" in answer.json["detail"]


def test_without_a_sidecar_the_page_says_that_it_is_away(settings: Settings) -> None:
    server = Server("127.0.0.1", 0)
    app = create_app(dataclasses.replace(settings, sidecar_http_port=server.server_address[1]))
    answer: Any = app.test_client().get("/positions")
    assert (answer.status_code, answer.json["reason"]) == (503, "sidecar_unreachable")
    assert answer.headers["Retry-After"] == "1"
    server.server_close()

"""Webhooks: what tools send, as it is accepted, and what is one trade."""

import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError
from werkzeug.test import TestResponse

from common.credentials import HOOK, WRITE, hash_token, make_token
from common.errors import JournalError, KeyReusedError
from common.event import TRADE_FIELDS
from common.journal.appending import AppendResult, KeyedTrade, Request
from common.journal.credentials import Term, add_token, revoke_token, rotate_token
from common.journal.store import Journal
from common.quotes import CURRENCIES
from common.settings import Settings
from common.timestamps import format_timestamp, now
from common.wire.transport import Sender
from tests.conftest import BUY
from tests.waiting import wait_for
from webapp import create_app
from webapp.input.hook_key import WINDOW_SECONDS
from webapp.input.hook_payload import NAMES, read_payload
from webapp.input.hook_side import find_side
from webapp.input.json_body import JsonNumber
from webapp.publisher import Publisher
from webapp.routes import hooks
from webapp.services import services
from webapp.worker_metrics import WorkerMetrics

TRADINGVIEW = {
    "ticker": "BTCUSDT",
    "action": "buy",
    "contracts": 0.25,
    "close": 64210.5,
    "timenow": "2026-01-31T09:30:00Z",
}
STRATEGY = {
    "time": "2026-01-31T09:30:00Z",
    "ticker": "ES1!",
    "bar": {"time": "2026-01-31T09:25:00Z", "close": 6900.25},
    "strategy": {
        "order_action": "sell",
        "order_contracts": 2,
        "order_price": 6900.5,
        "order_id": "Short",
        "market_position": "short",
    },
}
ENTRY = {"pair": "ETH/USDT", "direction": "Short", "amount": "1.5", "open_rate": "3000.1"}
EXIT = ENTRY | {"close_rate": "2900.50"}
CCXT: dict[str, Any] = {
    "info": {"symbol": "ETHBTC", "price": "1", "qty": "9"},
    "id": "12345-67890:09876/54321",
    "timestamp": 1502962946216,
    "datetime": "2017-08-17T09:42:26.216Z",
    "symbol": "ETH/BTC",
    "order": "12345-67890:09876/54321",
    "type": "limit",
    "side": "buy",
    "takerOrMaker": "taker",
    "price": 0.06917684,
    "amount": 1.5,
    "cost": 0.10376526,
    "fee": {"cost": 0.0015, "currency": "BTC", "rate": 0.002},
}
ORDER: dict[str, Any] = CCXT | {
    "status": "closed",
    "amount": 2,
    "filled": 1.5,
    "remaining": 0.5,
    "average": 0.06917,
    "price": None,
}

CCXT_READ_FROM = {
    "symbol": "symbol",
    "side": "side",
    "price": "price",
    "qty": "amount",
    "ts": "timestamp",
    "ref": "id",
    "fee": "fee.cost",
}
FORM = "application/x-www-form-urlencoded"

LEAVES = sorted(
    {part for names in NAMES.values() for name in names for part in name.split(".")}
    | {"status", "filled", "remaining", "average", "event", "type", "cost", "currency", "close_date", "exit_reason"}
)
"""Every name that a payload or an object in it may have."""


ANSWER_SECONDS = hooks.ANSWER_SECONDS


@pytest.fixture(autouse=True)
def _wait_for_a_slow_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "ANSWER_SECONDS", 30)


def post(client: FlaskClient, payload: object, kind: str = "text/plain; charset=utf-8") -> TestResponse:
    is_ready = isinstance(payload, str | bytes) or "form" in kind
    body: Any = payload if is_ready else json.dumps(payload)
    return client.post("/hooks/open", data=body, content_type=kind)


def accept(client: FlaskClient, payload: object, kind: str = "text/plain") -> dict[str, Any]:
    answer = post(client, payload, kind)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json  # type: ignore[assignment] # 201 has a body
    assert answer.headers["Location"] == f"/trades/{found['trade']['id']}"
    assert (answer.headers.get("Idempotent-Replayed") == "true") == found["duplicate"]
    return found


def reject(client: FlaskClient, payload: object, kind: str = "text/plain", status: int = 422) -> dict[str, Any]:
    answer = post(client, payload, kind)
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/problem+json"
    found: dict[str, Any] = json.loads(answer.data)
    return found


TOOLS: dict[str, tuple[object, str, tuple[str | None, ...], dict[str, str]]] = {
    "TradingView": (
        json.dumps(TRADINGVIEW),
        "text/plain; charset=utf-8",
        ("2026-01-31T09:30:00.000000Z", "BTCUSDT", "BUY", "64210.5", "0.25", "", None, None),
        {"symbol": "ticker", "side": "action", "price": "close", "qty": "contracts", "ts": "timenow"},
    ),
    "TradingView's strategy": (
        json.dumps(STRATEGY),
        "application/json",
        ("2026-01-31T09:30:00.000000Z", "ES1!", "SELL", "6900.5", "2", "", "Short", None),
        {
            "symbol": "ticker",
            "side": "strategy.order_action",
            "price": "strategy.order_price",
            "qty": "strategy.order_contracts",
            "ts": "time",
            "ref": "strategy.order_id",
        },
    ),
    "freqtrade's entry": (
        ENTRY | {"source": "freqtrade", "ts": "2026-01-31 09:30:00+00:00"},
        FORM,
        ("2026-01-31T09:30:00.000000Z", "ETH/USDT", "SELL", "3000.1", "1.5", "freqtrade", None, None),
        {
            "symbol": "pair",
            "side": "direction, open_rate",
            "price": "open_rate",
            "qty": "amount",
            "ts": "ts",
            "source": "source",
        },
    ),
    "freqtrade's exit": (
        EXIT | {"ts": "1769851800"},
        "multipart/form-data",
        ("2026-01-31T09:30:00.000000Z", "ETH/USDT", "BUY", "2900.50", "1.5", "", None, None),
        {"symbol": "pair", "side": "direction, close_rate", "price": "close_rate", "qty": "amount", "ts": "ts"},
    ),
    "a trade of ccxt": (
        json.dumps(CCXT),
        "",
        ("2017-08-17T09:42:26.216000Z", "ETH/BTC", "BUY", "0.06917684", "1.5", "", CCXT["id"], "0.0015"),
        CCXT_READ_FROM,
    ),
    "an order of ccxt, as curl sends it": (
        json.dumps(ORDER),
        FORM,
        ("2017-08-17T09:42:26.216000Z", "ETH/BTC", "BUY", "0.06917", "1.5", "", CCXT["id"], "0.0015"),
        CCXT_READ_FROM | {"price": "average", "qty": "filled"},
    ),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_what_a_tool_sends_is_accepted_once_and_explained(client: FlaskClient, journal: Journal, tool: str) -> None:
    payload, kind, trade, read_from = TOOLS[tool]
    first, again = accept(client, payload, kind), accept(client, payload, kind)
    (event,) = journal.read_after(0)
    assert tuple(getattr(event, name) for name in TRADE_FIELDS) == trade
    assert first == {"trade": msgspec.to_builtins(event), "duplicate": False, "read_from": read_from, "left_out": {}}
    assert again == first | {"duplicate": True}


BAD_VALUES = [
    ('"close": "{{close}}"', "price", "{{close}}", "a decimal above 0", "close"),
    ('"close": {{close}}', "price", "{{close}}", "a decimal above 0", "close"),
    ('"close": {{plot("Entry \\u00e9")}}', "price", '{{plot("Entry \\u00e9")}}', "a decimal above 0", "close"),
    ('"close": NaN', "price", "NaN", "a decimal above 0", "close"),
    ('"close": "NaN"', "price", "NaN", "a decimal above 0", "close"),
    ('"close": -1', "price", "-1", "a decimal above 0", "close"),
    ('"close": "1,000.5"', "price", '"1,000.5"', "a decimal above 0", "close"),
    ('"close": [1]', "price", "an array", "a decimal above 0", "close"),
    ('"contracts": {{strategy.order.contracts}}', "qty", "{{strategy.order.contracts}}", "above 0", "contracts"),
    ('"contracts": 0', "qty", '"0"', "a decimal above 0", "contracts"),
    ('"ticker": "{{ticker}}"', "symbol", "{{ticker}}", "1 to 64 printable characters", "ticker"),
    ('"ticker": "BINANCE:{{ticker}}"', "symbol", "BINANCE:{{ticker}}", "1 to 64 printable", "ticker"),
    ('"ticker": NaN', "symbol", "NaN", "1 to 64 printable characters", "ticker"),
    ('"action": "{{strategy.order.action}}"', "side", "{{strategy.order.action}}", "BUY or SELL", "action"),
    ('"action": "hold"', "side", '"hold"', "BUY or SELL", "action"),
    ('"action": NaN', "side", "NaN", "BUY or SELL", "action"),
    ('"timenow": "{{timenow}}"', "ts", "{{timenow}}", "seconds or milliseconds since 1970", "timenow"),
    ('"timenow": "2026-01-31T09:30:00"', "ts", '"2026-01-31T09:30:00"', "with an offset", "timenow"),
    ('"timenow": 99999999999999', "ts", '"5138-11-16T09:46:39.999000Z"', "at most 60 s ahead", "timenow"),
    ('"order_id": "{{strategy.order.id}}"', "ref", "{{strategy.order.id}}", "1 to 64 printable", "order_id"),
    ('"source": "{{strategy}}"', "source", "{{strategy}}", "a name of 1 to 64 characters", "source"),
    ('"fee": {"cost": NaN, "currency": "USDT"}', "fee", "NaN", "a decimal of 0 or more", "fee.cost"),
]
"""What is sent, its field, how it is shown, what was expected, and its name."""


@pytest.mark.parametrize("bad", BAD_VALUES, ids=[bad[0] for bad in BAD_VALUES])
def test_an_unfilled_placeholder_or_a_bad_value_names_field_value_and_what_was_expected(
    client: FlaskClient, journal: Journal, bad: tuple[str, str, str, str, str]
) -> None:
    sent, field, shown, expected, name = bad
    key = sent.partition(":")[0].strip('"')
    rest = ", ".join(f"{json.dumps(each)}: {json.dumps(value)}" for each, value in TRADINGVIEW.items() if each != key)
    found = reject(client, f"{{{rest}, {sent}}}")
    assert found["reason"] == "invalid"
    ((named, (message,)),) = found["errors"].items()
    assert named == field
    assert message.startswith(f"{shown} is not accepted; expected ")
    assert expected in message
    assert message.endswith(f"; read from {name}")
    assert journal.last_seq() == 0


def test_what_is_missing_is_named_with_the_names_that_were_looked_for(client: FlaskClient) -> None:
    errors = reject(client, {"note": "no trade"})["errors"]
    assert set(errors) == {"symbol", "side", "price", "qty"}
    for field, (message,) in errors.items():
        assert message.startswith("missing; expected ")
        assert message.endswith(f"; looked for {', '.join(NAMES[field])}")


BAD_BODIES: list[tuple[str | bytes, str, int, str, str]] = [
    ("", "text/plain", 400, "json", "is not JSON"),
    ("BTCUSDT crossed 64000", "text/plain", 400, "json", "is not JSON"),
    ('{"ticker": }', "text/plain", 400, "json", "line 1 column 12"),
    ("[]", "application/json", 400, "json", "is an array; expected a JSON object"),
    ('{"ticker": "A", "ticker": "B"}', "text/plain", 400, "json", "more than once"),
    (b'{"ticker": "\xff{{close}}"}', "text/plain", 400, "json", "not UTF-8"),
    (b"pair=%ff", FORM, 400, "bad_request", "not UTF-8"),
    ("pair=" + "A" * 9000, FORM, 413, "too_large", "8192"),
    ("pair=ETH&pair=BTC&side=buy&price=1&qty=1", FORM, 422, "invalid", "symbol: an array is not accepted"),
    ('{"x": "' + "A" * 70_000 + '"}', "text/plain", 413, "too_large", "65536"),
]
"""A body, its type, and the status, the reason and a part of the detail of its answer."""


@pytest.mark.parametrize("bad", BAD_BODIES, ids=[str(bad[0][:40]) for bad in BAD_BODIES])
def test_a_body_without_a_payload_is_rejected_and_counted(
    app: Flask, client: FlaskClient, bad: tuple[str | bytes, str, int, str, str]
) -> None:
    body, kind, status, reason, detail = bad
    found = reject(client, body, kind, status)
    assert found["reason"] == reason
    assert detail in found["detail"]
    assert rejected(app, reason) == 1


def read_metrics(app: Flask) -> WorkerMetrics:
    return services(app).metrics


def rejected(app: Flask, reason: str) -> float:
    return read_metrics(app).registry.get_sample_value("webapp_trades_rejected_total", {"reason": reason}) or 0


def test_a_query_string_is_not_read(client: FlaskClient, journal: Journal) -> None:
    answer = client.post("/hooks/open?price=1&ticker=X", json=TRADINGVIEW)
    assert answer.status_code == 201
    assert journal.read_after(0)[0].price == "64210.5"


@pytest.mark.parametrize(
    ("fields", "trade"),
    [
        ({"id": 84213, "symbol": 700}, {"ref": "84213", "symbol": "700"}),
        ({"ticker": " btcusdt ", "action": " SELL "}, {"symbol": "BTCUSDT", "side": "SELL"}),
        ({"close": "1e-05", "price": None}, {"price": "0.00001"}),
        ({"timenow": 1769851800.25}, {"ts": "2026-01-31T09:30:00.250000Z"}),
        ({"timenow": 1769851800250}, {"ts": "2026-01-31T09:30:00.250000Z"}),
        ({"timenow": "", "ts": None, "time": "2026-01-31T10:30:00+0100"}, {"ts": "2026-01-31T09:30:00.000000Z"}),
        ({"order_id": "o-1", "ref": "f-1", "note": "{{close}}", "x": {"close": 9}}, {"ref": "f-1"}),
        ({"fee": "0.05"}, {"fee": "0.05"}),
        ({"fee": {"cost": None, "currency": None}}, {"fee": None}),
        ({"strategy": "text", "bar": [1]}, {"price": "64210.5"}),
    ],
)
def test_values_are_read_as_tools_write_them_and_extras_are_ignored(
    client: FlaskClient, fields: dict[str, Any], trade: dict[str, Any]
) -> None:
    found = accept(client, {name: value for name, value in (TRADINGVIEW | fields).items() if value != "-"})
    assert found["left_out"] == {}
    assert {name: found["trade"][name] for name in trade} == trade


def test_a_fee_that_is_none_of_the_trade_is_left_out_and_the_answer_says_why(client: FlaskClient) -> None:
    other = accept(client, CCXT | {"fee": {"cost": 0.0015, "currency": "BNB"}})
    assert other["trade"]["fee"] is None
    assert other["left_out"] == {"fee": "0.0015 BNB is not in BTC, the quote currency of the symbol"}
    assert "fee" not in other["read_from"]
    for cost in (-0.1, "-0.1"):
        rebate = accept(client, CCXT | {"id": str(cost), "fee": {"cost": cost, "currency": "BTC"}, "price": 1})
        assert "is a rebate; a fee is 0 or more" in rebate["left_out"]["fee"]


def test_an_order_that_may_still_be_filled_is_no_trade(client: FlaskClient, journal: Journal) -> None:
    found = reject(client, ORDER | {"status": "open"})
    assert "status" in found["errors"]
    nothing_filled = reject(client, ORDER | {"status": "canceled", "filled": 0})
    assert nothing_filled["errors"]["qty"][0].endswith("read from filled")
    assert journal.last_seq() == 0


SIDES: dict[str, list[dict[str, Any]]] = {
    "BUY": [
        {"side": "buy"},
        {"side": "Buy to open"},
        {"action": "buy", "direction": "long"},
        {"action": "enter_long"},
        {"action": "EXIT SHORT"},
        {"side": "long", "event": "entry_fill"},
        {"side": "short", "type": "exit_fill"},
        {"action": "entry", "direction": "Long"},
        {"direction": "Short", "exit_reason": "roi"},
        {"order_action": "buy", "strategy": {"order_action": "buy"}},
    ],
    "SELL": [
        {"side": "SELL"},
        {"action": "sell", "direction": "Long"},
        {"action": "close-long"},
        {"direction": "Long", "close_date": "2026-01-31 09:30:00+00:00"},
        {"action": "open", "side": "short"},
    ],
    "": [
        {"side": "long"},
        {"direction": "Short", "event": "signal"},
        {"action": "buy", "side": "sell"},
        {"action": "close"},
        {"action": "flat"},
        {"side": "long short", "event": "entry"},
        {"side": "long", "event": "close and open"},
        {"side": "long", "event": "entry", "exit_reason": "roi"},
        {"side": "buy!"},
        {"side": "\u017fell"},
        {"side": "buy", "action": True},
        {"side": "buy", "action": "{{strategy.order.action}}"},
        {"side": {"action": "buy"}},
    ],
}


@pytest.mark.parametrize(("side", "fields"), [(side, fields) for side, every in SIDES.items() for fields in every])
def test_long_and_short_are_read_only_where_entry_or_exit_is_clear(
    client: FlaskClient, side: str, fields: dict[str, Any]
) -> None:
    payload = {"symbol": "BTCUSDT", "price": "1", "qty": "1"} | fields
    if side:
        found = accept(client, payload)
        assert found["trade"]["side"] == side
        assert set(found["read_from"]["side"].split(", ")) <= {*fields, "strategy.order_action"}
    else:
        (message,) = reject(client, payload)["errors"]["side"]
        assert "expected BUY or SELL (or long or short with entry or exit); read from" in message


@given(st.lists(st.sampled_from(["buy", "sell", "long", "short", "entry", "exit", "fill"]), min_size=1))
def test_a_side_does_not_depend_on_how_the_words_are_spread(words: list[str]) -> None:
    together = find_side([" ".join(words)], is_entry=False, is_exit=False)
    assert find_side(words[::-1], is_entry=False, is_exit=False) == together
    if {"buy", "sell"} <= set(words):
        assert together is None


_TEXTS = st.text() | st.sampled_from(["{{close}}", "NaN", "long", "exit", "1769851800", "-1", "\ud800{{x}}"])
_VALUES = st.recursive(
    st.none() | st.booleans() | _TEXTS | st.decimals().map(str).map(JsonNumber),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(LEAVES), inner, max_size=3),
    max_leaves=6,
)
_PAYLOADS = st.dictionaries(st.sampled_from(LEAVES), _VALUES)


@given(st.sampled_from([{}, {"symbol": "BTC/USD", "side": "buy", "price": "1", "qty": "1"}]), _PAYLOADS)
def test_any_payload_is_a_trade_or_an_error_that_names_each_field(
    trade: dict[str, object], payload: dict[str, object]
) -> None:
    named: set[str] = set()
    answer = b"{}"
    try:
        read = read_payload(payload | trade, CURRENCIES)
        answer = msgspec.json.encode([read.read_from, read.left_out, read.trade])
    except ValidationError as error:
        named = set(error.normalized_messages())  # type: ignore[no-untyped-call]
    assert named <= {*NAMES, "status"}
    assert json.loads(answer) or named


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """Let each alert arrive at the time in this list of one."""
    at = [datetime(2026, 1, 31, 9, 30, tzinfo=UTC)]
    monkeypatch.setattr(hooks, "now", lambda: at[0])
    return at


def test_the_same_body_within_a_minute_is_one_trade(
    client: FlaskClient, journal: Journal, clock: list[datetime]
) -> None:
    assert not accept(client, TRADINGVIEW)["duplicate"]
    clock[0] += timedelta(seconds=WINDOW_SECONDS)
    assert accept(client, TRADINGVIEW)["duplicate"]
    assert not accept(client, json.dumps(TRADINGVIEW, indent=1))["duplicate"]
    clock[0] += timedelta(seconds=6)
    assert not accept(client, TRADINGVIEW)["duplicate"]
    assert journal.last_seq() == 3


@pytest.mark.parametrize("name", ["id", "order_id"])
def test_an_id_makes_one_trade_of_an_alert_also_later(
    client: FlaskClient, journal: Journal, clock: list[datetime], name: str
) -> None:
    timeless = {field: value for field, value in TRADINGVIEW.items() if field != "timenow"}
    for payload in (TRADINGVIEW, timeless):
        first = accept(client, payload | {name: f"fill-{len(payload)}"})
        assert first["trade"]["ref"] == f"fill-{len(payload)}"
        clock[0] += timedelta(days=9)
        again = accept(client, {name: f"fill-{len(payload)}", "note": "again"} | payload)
        assert again["duplicate"]
        assert again["trade"] == first["trade"]
    assert journal.last_seq() == 2


@pytest.mark.parametrize(
    ("fields", "is_same"),
    [
        ({}, True),
        ({"note": "x", "source": ""}, True),
        ({"timenow": "2026-01-31T09:31:00Z"}, True),
        ({"timenow": "2026-01-31T09:29:00Z"}, True),
        ({"timenow": "2026-01-31T09:32:00Z"}, False),
        ({"close": 64210}, False),
        ({"contracts": "0.1"}, False),
        ({"action": "sell"}, False),
        ({"ticker": "ETHUSDT"}, False),
        ({"id": "Short"}, False),
    ],
)
def test_an_id_that_names_an_order_does_not_hide_its_other_fills(
    client: FlaskClient, journal: Journal, fields: dict[str, Any], *, is_same: bool
) -> None:
    accept(client, TRADINGVIEW | {"id": "Long"})
    assert accept(client, TRADINGVIEW | {"id": "Long"} | fields)["duplicate"] == is_same
    assert journal.last_seq() == (1 if is_same else 2)


def test_a_key_of_an_alert_belongs_to_its_source(client: FlaskClient, journal: Journal) -> None:
    for source in ("bot-a", "bot-b", "bot-a"):
        accept(client, TRADINGVIEW | {"id": "1", "source": source})
    assert [event.source for event in journal.read_after(0)] == ["bot-a", "bot-b"]


def test_an_unknown_token_is_not_found_and_the_log_has_its_hash(
    app: Flask, client: FlaskClient, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for token in ("tt_secret", "OPEN", "open2", "ope", "ü"):
        answer = client.post(f"/hooks/{token}", json=TRADINGVIEW)
        assert answer.status_code == 404
        assert answer.json is not None
        assert answer.json["detail"] == "No webhook has this token"
    assert client.get("/hooks/tt_secret").status_code == 405
    for path in ("tt_secret/more", "tt_s%2Fcret", ""):
        assert client.post(f"/hooks/{path}").status_code == 404
    accept(client, TRADINGVIEW)
    assert journal.last_seq() == 1
    assert rejected(app, "not_found") == 5
    every: list[Any] = [line for line in caplog.records if line.name == "webapp.middleware.access_log"]
    assert {line.route for line in every} == {"/hooks/<token>", "(unmatched)"}
    assert every[0].token_hash == sha256(b"tt_secret").hexdigest()[:12]
    accepted = every[-1]
    assert accepted.token_hash == sha256(b"open").hexdigest()[:12]
    assert (accepted.trades, accepted.symbol, accepted.source) == (1, "BTCUSDT", "")
    exposed = str(read_metrics(app).snapshot())
    assert "POST /hooks/<token> 201" in exposed
    for text in (exposed, *(str(vars(line)) for line in caplog.records)):
        assert "tt_s" not in text


@pytest.mark.parametrize("mode", ["open", "locked", "required", "off"])
def test_the_token_in_the_path_is_the_credential(settings: Settings, journal: Journal, mode: str) -> None:
    forever = Term(format_timestamp(now() - timedelta(days=2)), None)
    yesterday = format_timestamp(now() - timedelta(days=1))
    tokens = {"open": "open", "wrong": make_token(), "malformed": "tt_x"}
    if mode != "open":
        ends = {"expired": Term(forever.created_at, yesterday)}
        for name in ("right", "expired", "revoked", "writer"):
            tokens[name] = make_token()
            scope = WRITE if name == "writer" else HOOK
            assert add_token(journal, name, hash_token(tokens[name]), (scope,), ends.get(name, forever))
        assert revoke_token(journal, "revoked", yesterday)
    app = create_app(replace(settings, auth="auto" if mode in {"open", "locked"} else mode))
    accepted = {"right"} | ({"open"} if mode in {"open", "off"} else set())
    for name, token in tokens.items():
        payload = TRADINGVIEW | {"ticker": name}
        # A header is not read: that of a right token opens nothing, and that of a wrong one closes nothing.
        headers = {"Authorization": f"Bearer {tokens.get('writer', 'tt_x')}"}
        answer = app.test_client().post(f"/hooks/{token}", json=payload, headers=headers)
        assert answer.status_code == (201 if name in accepted else 404), name
    assert {event.symbol: event.source for event in journal.read_after(0)} == {
        name.upper(): "right" if name == "right" else "" for name in accepted & set(tokens)
    }
    services(app).close()


def test_the_keys_of_a_hook_belong_to_its_token_also_after_a_rotation(client: FlaskClient, journal: Journal) -> None:
    forever = Term(format_timestamp(now()), None)
    texts = [make_token() for _ in range(3)]
    for name, text in zip(("first", "second"), texts, strict=False):
        assert add_token(journal, name, hash_token(text), (HOOK,), forever)

    def send(text: str, **fields: str) -> TestResponse:
        return client.post(f"/hooks/{text}", json=TRADINGVIEW | {"id": "1"} | fields)

    for text in (*texts[:2], texts[0]):
        assert send(text, source="bot").status_code == 201
    assert [event.source for event in journal.read_after(0)] == ["bot", "bot"]
    assert rotate_token(journal, "first", hash_token(texts[2]), forever)
    wait_for(lambda: send(texts[2]).status_code == 201, "the token is rotated")
    assert send(texts[2]).headers["Idempotent-Replayed"] == "true"
    assert send(texts[0]).status_code == 404
    assert journal.last_seq() == 2


def test_an_open_hook_does_not_answer_what_comes_through_a_proxy(client: FlaskClient, journal: Journal) -> None:
    answer = client.post("/hooks/open", json=TRADINGVIEW, headers={"X-Forwarded-For": "192.0.2.7"})
    assert (answer.status_code, (answer.json or {})["reason"]) == (403, "forwarded")
    assert journal.last_seq() == 0


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_a_page_of_another_origin_cannot_use_a_webhook(client: FlaskClient, journal: Journal, origin: str) -> None:
    answer = client.post("/hooks/open", json=TRADINGVIEW, headers={"Origin": origin})
    assert answer.status_code == 403
    assert journal.last_seq() == 0


def test_a_rejection_is_logged_once_with_its_request_id(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    headers = {"X-Request-ID": "alert-7"}
    client.post("/hooks/open", json=TRADINGVIEW | {"close": "{{close}}"}, headers=headers)
    logged: Any
    (logged,) = [line for line in caplog.records if getattr(line, "request_id", "") == "alert-7"]
    assert (logged.status, logged.reason, logged.route) == (422, "invalid", "/hooks/<token>")
    assert rejected(app, "invalid") == 1


class StuckJournal(Journal):
    """A journal whose commit waits for ``gate``."""

    gate = threading.Event()

    def append(self, requests: Sequence[Request]) -> list[AppendResult | KeyReusedError]:
        self.gate.wait(20)
        return super().append(requests)


def test_a_commit_is_waited_for_no_longer_than_the_tools_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ANSWER_SECONDS < 3
    monkeypatch.setattr(StuckJournal, "gate", threading.Event())
    publisher = Publisher(StuckJournal(tmp_path / "journal.db"), partial(Sender, f"ipc://{tmp_path}/trades"))
    with pytest.raises(JournalError) as caught:
        publisher.accept([KeyedTrade(BUY)], timeout=0.01)
    assert caught.value.reason == "slow"
    StuckJournal.gate.set()
    assert publisher.accept([KeyedTrade(BUY)], timeout=60).events
    publisher.close()


def test_an_alert_whose_commit_takes_too_long_is_answered_503_and_counts_once_when_it_is_sent_again(
    client: FlaskClient, settings: Settings, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(StuckJournal, "gate", threading.Event())
    monkeypatch.setattr("webapp.services.Journal", StuckJournal)
    stuck = create_app(settings)
    found = reject(stuck.test_client(), TRADINGVIEW, status=503)
    assert found["reason"] == "journal_slow"
    assert "not known whether the trade was accepted. Send it again" in found["detail"]
    StuckJournal.gate.set()
    services(stuck).close()
    monkeypatch.setattr(hooks, "ANSWER_SECONDS", 30)
    assert accept(client, TRADINGVIEW)["trade"]["seq"] == 1
    assert journal.last_seq() == 1


def test_every_field_of_a_trade_can_be_sent_under_its_own_name() -> None:
    assert set(NAMES) == set(TRADE_FIELDS)
    assert all(field in names for field, names in NAMES.items())

"""A plain trade, and a plain batch, is answered as Flask answers it: each case is sent once to each of them."""

import gzip
import io
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry
from werkzeug.exceptions import RequestTimeout

from common.errors import CredentialError, HubError, JournalError
from common.settings import Settings
from webapp import create_app
from webapp.credentials import ANYONE, Caller
from webapp.rate_limit import RateLimit
from webapp.routes import plain_trade
from webapp.services import Services, services

FLASK = {"X-Other": "1"}
"""A header that no plain request has."""

NEW = {"trade_id", "duration_ms", "created", "msecs", "relativeCreated", "exc_info", "exc_text"}
BODY = b'{"symbol":"BTCUSDT","side":"BUY","price":"1.50","qty":"2","ts":"2026-01-31T09:30:00Z"}'


class Seen(NamedTuple):
    """What a client, the log and the metrics show of one request."""

    status: str
    headers: list[tuple[str, str]]
    body: Any
    lines: list[dict[str, Any]]
    counts: dict[str, float]
    trades: int
    asked_flask: bool


def _fail(error: Exception) -> Callable[[Services], None]:
    def change(mine: Services) -> None:
        def accept(*_: object, **__: object) -> None:
            raise error

        mine.publisher.accept = accept  # type: ignore[method-assign,assignment]

    return change


def _identify(caller: Caller | None) -> Callable[[Services], None]:
    def identify(*_: object) -> Caller:
        if caller is None:
            raise CredentialError("no_credential", "This server is locked")
        return caller

    def change(mine: Services) -> None:
        mine.credentials.identify = identify  # type: ignore[method-assign,assignment]

    return change


def _become_hub(mine: Services) -> None:
    mine.is_hub = lambda: True


def _limit(mine: Services) -> None:
    mine.settings = replace(mine.settings, batch_max_trades=1000)


def _use_up_writes(mine: Services) -> None:
    mine.write_limit = RateLimit(0.001, 1, clock=lambda: 0.0)
    mine.write_limit.take("10.1.2.3")


class Late(io.BytesIO):
    """A body that does not arrive."""

    def read(self, *_: object) -> bytes:
        raise RequestTimeout("The body did not arrive")


class Reset(io.BytesIO):
    """A body whose connection ends."""

    def read(self, *_: object) -> bytes:
        raise ConnectionResetError


BOT = Caller("token", 7, "grid-bot", ANYONE.scopes)

Case = tuple[dict[str, Any], Callable[[Services], None] | None]

PLAIN: dict[str, Case] = {
    "a trade": ({}, None),
    "a trade of a token": ({"headers": {"Authorization": "Bearer x"}}, _identify(BOT)),
    "an address": ({"environ_base": {"REMOTE_ADDR": "10.1.2.3"}, "headers": {"User-Agent": "bot/1"}}, None),
    "a token while anyone may write": ({"headers": {"Authorization": "Bearer tt_none"}}, None),
    "HTTP/1.0 without a Host": ({"environ_overrides": {"SERVER_PROTOCOL": "HTTP/1.0", "HTTP_HOST": None}}, None),
    "a target with its host": ({"environ_overrides": {"RAW_URI": "http://localhost/trade"}}, None),
    "a failed commit": ({}, _fail(JournalError("full", "no space"))),
    "an unknown outcome": ({}, _fail(JournalError("slow", "no commit"))),
    "a journal that became a hub's": ({}, _fail(HubError("hub", "a hub"))),
    "a bug": ({}, _fail(RuntimeError("a bug"))),
}

LEFT: dict[str, Case] = {
    "a bad field": ({"data": BODY.replace(b"1.50", b"-1")}, None),
    "a duplicate field": ({"data": BODY.replace(b'"qty"', b'"price"')}, None),
    "no JSON": ({"data": b"\xff"}, None),
    "no body": ({"data": b""}, None),
    "an end before the length": ({"data": BODY[:-9], "headers": {"Content-Length": str(len(BODY))}}, None),
    "a late body": ({"input_stream": Late(), "data": None, "headers": {"Content-Length": "9"}}, None),
    "a large body": ({"data": b" " * 70_000}, None),
    "a key in the body": ({"data": BODY[:-1] + b',"key":"k"}'}, None),
    "another type": ({"content_type": "text/csv"}, None),
    "a query": ({"query_string": "a=1"}, None),
    "a prefix": ({"base_url": "http://localhost/desk"}, None),
    "TLS": ({"base_url": "https://localhost"}, None),
    "another method": ({"method": "PUT"}, None),
    "a bad host": ({"base_url": "http://evil.example"}, None),
    "a Host that stands twice": ({"environ_overrides": {"HTTP_HOST": "localhost,localhost"}}, None),
    "a target with another host": ({"environ_overrides": {"RAW_URI": "http://evil.example/trade"}}, None),
    "a body that is reset": ({"input_stream": Reset(), "data": None, "headers": {"Content-Length": "9"}}, None),
    "a foreign page": ({"headers": {"Origin": "http://evil.example"}}, None),
    "a proxy": ({"headers": {"X-Forwarded-For": "10.9.9.9"}}, None),
    "a cookie": ({"headers": {"Cookie": "a=b"}}, None),
    "an idempotency key": ({"headers": {"Idempotency-Key": "k"}}, None),
    "no credential": ({}, _identify(None)),
    "a token that may not write": ({}, _identify(BOT._replace(scopes=frozenset({"read"})))),
    "a user without the token of a form": ({}, _identify(ANYONE._replace(kind="user"))),
    "a hub": ({}, _become_hub),
    "too many writes": ({"environ_base": {"REMOTE_ADDR": "10.1.2.3"}}, _use_up_writes),
}


def to_batch(case: Case) -> Case:
    """Return the same case with a batch of its trade."""
    options, change = case
    data = options.get("data", BODY)
    return options | {"path": "/trades", "data": data and b"[%b]" % data}, change


TWO: Final = BODY, BODY.replace(b"BUY", b"sell").replace(b"1.50", b"1e3")
LINES: Final = {"path": "/trades", "content_type": "application/x-ndjson"}
PLAIN_BATCHES: dict[str, Case] = {f"a batch: {name}": to_batch(case) for name, case in PLAIN.items()} | {
    "two trades": ({"path": "/trades", "data": b"[%b]" % b",".join(TWO)}, None),
    "two trades of a token": ({"path": "/trades", "data": b"[%b]" % b",".join(TWO)}, _identify(BOT)),
    "two lines": (LINES | {"data": b"\n".join(TWO)}, None),
}
LEFT_BATCHES: dict[str, Case] = {f"a batch: {name}": to_batch(case) for name, case in LEFT.items()} | {
    "a bad line": (LINES | {"data": b"\n".join([*TWO, b"{}"])}, None),
    "a part of a trade in each line": (LINES | {"data": BODY.replace(b",", b",\n")}, None),
    "gzip": ({"path": "/trades", "data": gzip.compress(b"[%b]" % BODY), "headers": {"Content-Encoding": "gzip"}}, None),
    "a preference": ({"path": "/trades", "data": b"[]", "headers": {"Prefer": "return=representation"}}, None),
    "too many trades": ({"path": "/trades", "data": b"[%b]" % b",".join(TWO * 600)}, _limit),
}
CASES: Final = PLAIN | PLAIN_BATCHES | LEFT | LEFT_BATCHES


def send(
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
    change: Callable[[Services], None] | None,
    headers: Mapping[str, str],
) -> Seen:
    """Send one request to a new application with a journal of its own, and note all that can be seen of it."""
    app: Flask = create_app(settings)
    asked: list[str] = []
    app.before_request_funcs.setdefault(None, []).insert(0, lambda: asked.append(""))
    mine = services(app)
    if change is not None:
        change(mine)
    before = read_counts(mine.metrics.registry)
    caplog.clear()
    given = options.get("headers", {}) | headers | {"X-Request-ID": "same"}
    usual = {"path": "/trade", "data": BODY, "content_type": "application/json", "method": "POST"}
    sent: dict[str, Any] = usual | options | {"headers": given}
    answer = app.test_client(use_cookies=False).open(**sent)
    counts = {name: value - before.get(name, 0) for name, value in read_counts(mine.metrics.registry).items()}
    mine.close()
    body: Any = answer.get_json() if answer.is_json else answer.data
    ids = [body.pop(name) for name in ("id", "journal_id", "accepted_at")] if "id" in body else [""]
    shown = [(name, value.replace(ids[0], "id") if ids[0] else value) for name, value in answer.headers]
    lines = [
        {name: value for name, value in vars(record).items() if name not in NEW}
        for record in caplog.records
        if record.name.startswith("webapp")
    ]
    trades = int(counts["webapp_commit_trades_sum"])
    return Seen(answer.status, shown, body, lines, {k: v for k, v in counts.items() if v}, trades, bool(asked))


def read_counts(registry: CollectorRegistry) -> dict[str, float]:
    """Read every counter, and the count of every histogram."""
    return {
        f"{sample.name}{sorted(sample.labels.items())}" if sample.labels else sample.name: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name in {"webapp_commit_trades_sum", "webapp_http_request_duration_seconds_count"}
        or sample.name.endswith("_total")
        if not sample.name.startswith("webapp_process")
    }


@pytest.mark.parametrize("case", CASES)
def test_a_request_is_answered_logged_and_counted_as_flask_does(
    settings: Settings, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    caplog.set_level(logging.INFO)
    options, change = CASES[case]
    first = send(settings, caplog, options, change, {})
    other = replace(settings, journal_path=settings.journal_path.with_name("other.db"))
    assert first._replace(asked_flask=True) == send(other, caplog, options, change, FLASK)
    assert first.asked_flask == (case in LEFT | LEFT_BATCHES)
    assert first.status.startswith("201") == (first.trades > 0)


def test_nothing_is_plain_where_pages_of_other_origins_may_send(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(settings, webapp_cors_origins=("http://desk.example",))
    assert send(settings, caplog, {}, None, {}).asked_flask


def test_no_batch_is_read_for_a_client_above_its_limit(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(settings)
    _use_up_writes(services(app))
    read: list[bytes] = []

    def read_batch(body: bytes, **_: object) -> None:
        read.append(body)

    monkeypatch.setattr(plain_trade, "read_good_batch", read_batch)
    for address, status in (("10.1.2.3", 429), ("127.0.0.1", 201)):
        sent = {"data": b"[" + BODY + b"]", "content_type": "application/json"}
        answer = app.test_client().post("/trades", **sent, environ_base={"REMOTE_ADDR": address})
        assert answer.status_code == status
    services(app).close()
    assert len(read) == 1


def test_a_commit_that_failed_is_not_tried_again(settings: Settings) -> None:
    app = create_app(settings)
    calls: list[object] = []

    def accept(*given: object, **_: object) -> None:
        calls.append(given)
        raise JournalError("slow", "no commit")

    services(app).publisher.accept = accept  # type: ignore[method-assign,assignment]
    assert app.test_client().post("/trade", data=BODY, content_type="application/json").status_code == 503
    assert len(calls) == 1

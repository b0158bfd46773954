import json
import logging.config
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pythonjsonlogger.json import JsonFormatter

from common.logs import LineFormatter, describe_logging
from common.settings import Settings
from tests.conftest import make_event
from tests.webapp.conftest import GOOD, read_token
from webapp import create_app
from webapp.middleware.access_log import log_trades
from webapp.middleware.auth import OPEN, needs
from webapp.rate_limit import RateLimit
from webapp.services import services


@pytest.fixture(autouse=True)
def _log_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def access(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [line for line in caplog.records if line.name == "webapp.middleware.access_log"]


def test_a_request_has_one_line(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    answer = client.post("/trade", json=GOOD, headers={"X-Request-ID": "desk-7.a_B"})
    assert answer.headers["X-Request-ID"] == "desk-7.a_B"
    client.get(answer.headers["Location"])
    first, second = access(caplog)
    assert (first.request_id, first.method, first.route, first.status) == ("desk-7.a_B", "POST", "/trade", 201)
    assert first.duration_ms > 0
    assert not hasattr(first, "reason")
    assert second.route == "/trades/<event_id>"


def test_a_line_has_the_client_and_the_trade(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    headers = {"User-Agent": "grid-bot/2.1", "Idempotency-Key": "k1"}
    trade = GOOD | {"source": "grid-bot"}
    event = client.post("/trade", json=trade, headers=headers, environ_base={"REMOTE_ADDR": "10.1.2.3"}).json
    client.post("/trade", json=trade, headers=headers)
    assert event is not None
    first, again = access(caplog)
    assert (first.client, first.user_agent) == ("10.1.2.3", "grid-bot/2.1")
    for line, accepted in ((first, 1), (again, 0)):
        assert (line.trade_id, line.symbol, line.source) == (event["id"], "BTCUSDT", "grid-bot")
        assert line.trades == accepted


def test_the_line_of_a_posted_form_has_the_trade(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    token = read_token(client.get("/").text)
    client.post("/trade", data=GOOD | {"csrf_token": token})
    line = access(caplog)[-1]
    assert (line.status, line.trades, line.symbol, line.source) == (303, 1, "BTCUSDT", "")
    assert line.trade_id


def test_the_line_of_several_trades_has_their_number_and_what_they_share(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    @app.post("/several")
    @needs(OPEN)
    def accept_several() -> str:
        log_trades([make_event(1, source="bot"), make_event(2, source="bot", symbol="ETHUSDT")], 2)
        return ""

    app.test_client().post("/several")
    (line,) = access(caplog)
    assert (line.trades, line.source) == (2, "bot")
    assert not hasattr(line, "symbol")
    assert not hasattr(line, "trade_id")


def test_a_request_without_a_trade_has_none_in_its_line(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    client.post("/trade", json=GOOD | {"price": "-1"})
    client.get("/healthz")
    lines = access(caplog)
    assert [line.status for line in lines] == [422, 200]
    assert not any(hasattr(line, "trades") or hasattr(line, "symbol") for line in lines)


def test_a_written_line_is_bounded_and_holds_no_credential(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {
        "User-Agent": "bot\x1b[31m\x7f" + "x" * 5000,
        "Authorization": "Bearer tt_in_a_header",
        "Idempotency-Key": "tt_in_a_key",
        "Cookie": "trading_session=tt_in_a_cookie",
    }
    client.post("/trade?token=tt_in_a_query", json=GOOD, headers=headers)
    client.post("/hooks/tt_in_a_path", json=GOOD, headers=headers)
    logs = describe_logging("web", "INFO")
    formatter = logging.config.DictConfigurator(logs).configure_formatter(logs["formatters"]["json"])
    records = access(caplog)
    assert [record.status for record in records] == [201, 404]
    for record in records:
        line = formatter.format(record)
        assert line.isprintable()
        assert line.isascii()
        assert json.loads(line)["user_agent"] == "bot\x1b[31m\x7f" + "x" * (200 - 9)
        assert "tt_" not in line
        assert len(line) < 1000


def test_with_a_limit_only_lines_of_errors_are_above_it(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.services.RateLimit", partial(RateLimit, clock=lambda: 1000.0))
    app = create_app(replace(settings, request_lines_per_second=2))
    client = app.test_client()
    statuses = [client.get(path).status_code for path in ("/healthz", "/healthz", "/healthz", "/nope", "/healthz")]
    assert statuses == [200, 200, 200, 404, 200]
    assert [line.status for line in access(caplog)] == [200, 200, 404]
    samples = services(app).metrics.registry
    labels = {"method": "GET", "route": "/healthz", "status": "200"}
    assert samples.get_sample_value("webapp_http_requests_total", labels) == 4


@pytest.mark.parametrize("agent", ["grid-bot/2.1", 'a "quoted" \\ one/\n', "\x1b[31m", "\x7f", "\u202eb\u00f6t", ""])
def test_a_line_is_written_as_python_json_logger_writes_it(agent: str) -> None:
    logs = describe_logging("web", "INFO")
    configurator, described = logging.config.DictConfigurator(logs), logs["formatters"]["json"]
    ours, librarys = (
        configurator.configure_formatter(dict(described) | {"()": each}) for each in (LineFormatter, JsonFormatter)
    )
    fields = {
        "user_agent": agent,
        "status": 201,
        "duration_ms": 1.029,
        "trades": None,
        "is_last": True,
        "symbols": ["A"],
    }
    record = logging.makeLogRecord({"msg": "request", "levelname": "INFO", "name": "x", **fields})
    assert ours.format(record) == librarys.format(record)


def test_values_that_json_does_not_know_are_written() -> None:
    logs = describe_logging("web", "INFO")
    formatter = logging.config.DictConfigurator(logs).configure_formatter(logs["formatters"]["json"])
    record = logging.makeLogRecord({"msg": "failed", "error": OSError("gone"), "big": 2**70, "name": "x"})
    line = json.loads(formatter.format(record))
    assert (line["error"], line["big"]) == ("OSError: gone", 2**70)
    assert datetime.fromisoformat(line["timestamp"]).tzinfo == UTC


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "ü", "a;b"])
def test_a_malformed_request_id_is_replaced(client: FlaskClient, given: str) -> None:
    request_id = client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert request_id != given
    assert len(request_id) == 36


def test_a_rejection_is_logged_once_with_its_reason(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    client.post("/trade", json={})
    client.post("/trade", data="{", content_type="application/json")
    client.post("/trade", data="x")
    client.post("/trade", data={"symbol": "x"})
    client.get("/nope/secret-path")
    assert [line.reason for line in access(caplog)] == [
        "invalid",
        "json",
        "unsupported_media_type",
        "csrf",
        "not_found",
    ]
    assert access(caplog)[-1].route == "(unmatched)"
    assert not any("secret-path" in line.getMessage() for line in caplog.records)


def test_a_server_error_is_answered_and_logged_with_its_request_id(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/bug")
    @needs(OPEN)
    def fail() -> str:
        message = "secret detail"
        raise RuntimeError(message)

    answer = app.test_client().get("/bug", headers={"X-Request-ID": "r-1"})
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    failed: Any
    (failed,) = [line for line in caplog.records if line.message == "request failed"]
    assert failed.request_id == "r-1"
    assert failed.exc_info is not None

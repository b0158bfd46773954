"""The trade form of the desk: shown by ``GET /``, accepted by ``POST /trade``. It has no blueprint of its own."""

import http
import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from flask import Response, flash, g, make_response, redirect, render_template, request, session, url_for
from marshmallow import ValidationError
from uuid_utils import uuid7
from werkzeug.wrappers import Response as BaseResponse

from common.errors import JournalError, KeyReusedError
from common.event import Event, Trade
from common.journal.appending import AppendResult, KeyedTrade
from common.timestamps import format_timestamp, now
from common.wire import messages
from webapp.input.encoding import check_encoding
from webapp.input.form import FORM_BYTES, TradeForm, ask_about_price, read_form_trade, read_values
from webapp.input.idempotency import read_form
from webapp.input.json_body import receive
from webapp.input.preference import is_representation_preferred
from webapp.input.schemas import read_messages
from webapp.middleware.access_log import log_trades
from webapp.middleware.auth import current_caller
from webapp.middleware.problems import (
    RETRY_AFTER_SECONDS,
    answer_problem,
    log_journal_failure,
    prefers_html,
    reject,
)
from webapp.routes.feed import HEARTBEAT_SECONDS
from webapp.services import services

RECENT: Final = 25
"""Trades that the desk lists when it opens."""

INTERVALS: Final = {"1s": 1, "5s": 5, "15s": 15, "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "1d": 86_400}
"""The lengths of a bar that the desk offers, in seconds."""

WINDOWS: Final = {"15m": 900, "1h": 3600, "4h": 14_400, "1d": 86_400, "7d": 604_800, "30d": 2_592_000}
"""The windows up to now that it offers, in seconds."""

_KEPT: Final = "kept"
"""What the session keeps of the last trade that was sent without scripts, for the next one."""

_JOURNAL: Final = "The journal cannot be used now. Nothing was accepted; try again."
_JOURNAL_SLOW: Final = "Slow: it is not known whether it was accepted. Send again."

STALE_SECONDS: Final = 3 * HEARTBEAT_SECONDS
"""How long the desk waits for a message of the feed before it opens it again."""


def accept_form() -> BaseResponse:
    """Accept the trade of a posted form and redirect to the desk, or show the form again with the input and its errors.

    With ``Prefer: return=representation`` the answers are those of the API. Raises BadRequest, RequestEntityTooLarge
    and RequestTimeout for a body that cannot be received.
    """
    check_encoding("form", receive(request, FORM_BYTES))
    form = TradeForm()
    if not form.validate():
        return _reject_token(form)
    mine, values = services(), read_values(request.form)
    try:
        trade = read_form_trade(values, mine.settings.quote_currencies)
        question = _ask(form, trade, values)
        if question is not None:
            problem = "Not sent yet: the price is far from the last one."
            return _show_errors(form, "unusual_price", {"price": [question]}, problem)
        keyed = KeyedTrade(current_caller().attribute(trade), read_form(form.idempotency_key.data, values))
        # A double click gets the answer of the first click, not a 409.
        result = mine.publisher.accept([keyed], wait_for_key=True, request_id=g.request_id)
    except ValidationError as error:
        return _show_errors(form, "invalid", read_messages(error), "Rejected: please look at the marked fields.")
    except (KeyReusedError, JournalError) as error:
        if is_representation_preferred():
            raise
        return _show_failure(form, error)
    log_trades(result.events, result.accepted)
    if is_representation_preferred():
        return answer_accepted(result)
    (event,) = result.events
    flash(f"Accepted as #{event.seq}: {event.side} {event.qty} {event.symbol} at {event.price}")
    session[_KEPT] = {name: getattr(event, name) for name in ("symbol", "side", "qty", "source")}
    return redirect(url_for("desk.show_desk"), http.HTTPStatus.SEE_OTHER)


def answer_accepted(result: AppendResult) -> Response:
    """Answer 201 with the event of an accepted trade."""
    (event,) = result.events
    body = messages.encode(event) + b"\n"
    response = Response(body, http.HTTPStatus.CREATED, content_type="application/json")
    if not result.accepted:
        response.headers["Idempotent-Replayed"] = "true"
    # Not by url_for, which takes half as long as reading the trade; tests follow it to the trade.
    response.headers["Location"] = f"{request.script_root}/trades/{event.id}"
    return response


def make_form() -> TradeForm:
    """Make the form of a desk that is opened: with the fields of its address, and what is kept of the last trade."""
    return TradeForm.make(session.get(_KEPT, {}) | request.args.to_dict())


def _ask(form: TradeForm, trade: Trade, values: Mapping[str, Any]) -> str | None:
    """Ask once about a price that is far from the last one. Raises JournalError."""
    typed = f"{values['symbol']} {values['price']}"
    if form.confirmed.data == typed:
        return None
    newest = services().reader.select(symbol=trade.symbol, limit=1)
    question = ask_about_price(trade, newest[0] if newest else None)
    form.confirmed.data = typed if question else ""
    return question


def _show_errors(form: TradeForm, reason: str, errors: dict[str, list[str]], problem: str) -> Response:
    if is_representation_preferred():
        return answer_problem(http.HTTPStatus.UNPROCESSABLE_ENTITY, reason, problem, errors)
    reject(reason)
    return render_desk(form, http.HTTPStatus.UNPROCESSABLE_ENTITY, [problem, *form.show_errors(errors)])


def _show_failure(form: TradeForm, error: KeyReusedError | JournalError) -> Response:
    if isinstance(error, KeyReusedError):
        reject(error.reason)
        form.idempotency_key.data = None
        problem = "Sent before with other values. Send again for another trade."
        return render_desk(form, http.HTTPStatus.UNPROCESSABLE_ENTITY, [problem])
    reject(f"journal_{error.reason}")
    log_journal_failure(error)
    response = render_desk(
        form, http.HTTPStatus.SERVICE_UNAVAILABLE, [_JOURNAL_SLOW if error.reason == "slow" else _JOURNAL]
    )
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _reject_token(form: TradeForm) -> Response:
    """Answer a form without the token of a desk: a browser with the form, renewed, a program with what to send."""
    if prefers_html():
        reject("csrf")
        problem = "Not sent: the form had expired. Please send it again."
        return render_desk(form, http.HTTPStatus.FORBIDDEN, [problem])
    detail = (
        "The form has no valid token of the desk. Send JSON instead, with the header Content-Type: application/json, "
        f"like {json.dumps(TradeForm(formdata=None).example)}"
    )
    response = answer_problem(http.HTTPStatus.FORBIDDEN, "csrf", detail)
    if is_representation_preferred():
        # For the script of an open desk whose cookie is gone; no page of another origin can read it.
        response.headers["X-CSRFToken"] = form.csrf_token.current_token
    return response


def render_desk(form: TradeForm, status: http.HTTPStatus, problems: Sequence[str] = ()) -> Response:
    """Render the desk with a form and the newest trades; ``problems`` are shown above it."""
    form.idempotency_key.data = form.idempotency_key.data or str(uuid7())
    recent: list[Event] | None
    try:
        recent = services().reader.select(limit=RECENT)[::-1]
    except JournalError as error:
        log_journal_failure(error)
        recent = None
    page = render_template(
        "desk/index.html",
        form=form,
        problems=problems,
        recent=recent,
        symbols=sorted({event.symbol for event in recent or []}),
        curl=_write_curl(form),
        intervals=INTERVALS,
        windows=WINDOWS,
        today=format_timestamp(now())[:10],
        stale=STALE_SECONDS,
        limits=dict(services().settings.silence_after),
        currencies=services().settings.quote_currencies,
        hub=services().is_hub(),
    )
    return make_response(page, status)


def _write_curl(form: TradeForm) -> str:
    endpoint = url_for("trades.accept_trade", _external=True)
    body = json.dumps(form.example, ensure_ascii=False)
    return f"curl {shlex.quote(endpoint)} -H 'Content-Type: application/json' -d {shlex.quote(body)}"

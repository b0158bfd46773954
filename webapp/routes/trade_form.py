"""The trade form of the desk: shown by ``GET /``, accepted by ``POST /trade``. It has no blueprint of its own."""

import http
import json
import shlex
from collections.abc import Sequence
from typing import Final

from flask import Response, flash, g, make_response, redirect, render_template, request, url_for
from marshmallow import ValidationError
from uuid_utils import uuid7
from werkzeug.wrappers import Response as BaseResponse

from common.errors import JournalError, KeyReusedError
from common.event import Event
from common.journal.appending import KeyedTrade
from common.timestamps import format_timestamp, now
from webapp.input.encoding import check_encoding
from webapp.input.form import FORM_BYTES, TradeForm, read_values
from webapp.input.idempotency import read_form
from webapp.input.json_body import receive
from webapp.input.schemas import read_messages, read_trade
from webapp.middleware.access_log import log_trades
from webapp.middleware.auth import current_caller
from webapp.middleware.problems import (
    RETRY_AFTER_SECONDS,
    answer_problem,
    describe_journal_failure,
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

STALE_SECONDS: Final = 3 * HEARTBEAT_SECONDS
"""How long the desk waits for a message of the feed before it opens it again."""


def accept_form() -> BaseResponse:
    """Accept the trade of a posted form and redirect to the desk, or show the form again with the input and its errors.

    Raises BadRequest, RequestEntityTooLarge and RequestTimeout for a body that cannot be received.
    """
    check_encoding("form", receive(request, FORM_BYTES))
    form = TradeForm()
    if not form.validate():
        return _reject_token(form)
    values = read_values(request.form)
    try:
        trade = read_trade(values)
    except ValidationError as error:
        reject("invalid")
        other_errors = form.show_errors(read_messages(error))
        problems = ["Rejected: please look at the marked fields.", *other_errors]
        return render_desk(form, http.HTTPStatus.UNPROCESSABLE_ENTITY, problems)
    try:
        keyed = KeyedTrade(current_caller().attribute(trade), read_form(form.idempotency_key.data, values))
        # A double click gets the answer of the first click, not a 409.
        result = services().publisher.accept([keyed], wait_for_key=True, request_id=g.request_id)
    except KeyReusedError as error:
        reject(error.reason)
        form.idempotency_key.data = None
        problem = "This form was already sent with other values. To send this trade as well, please send it again."
        return render_desk(form, http.HTTPStatus.UNPROCESSABLE_ENTITY, [problem])
    except JournalError as error:
        reject(f"journal_{error.reason}")
        log_journal_failure(error)
        response = render_desk(form, http.HTTPStatus.SERVICE_UNAVAILABLE, [describe_journal_failure(error)])
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response
    log_trades(result.events, result.accepted)
    (event,) = result.events
    flash(f"Accepted as #{event.seq}: {event.side} {event.qty} {event.symbol} at {event.price}")
    return redirect(url_for("desk.show_desk"), http.HTTPStatus.SEE_OTHER)


def _reject_token(form: TradeForm) -> Response:
    """Answer a form without the token of a desk: a browser with the form, renewed, a program with what to send."""
    if prefers_html():
        reject("csrf")
        problem = "Rejected: this form has expired. It has been renewed: please send it again."
        return render_desk(form, http.HTTPStatus.FORBIDDEN, [problem])
    detail = (
        "The form has no valid token of the desk. Send JSON instead, with the header Content-Type: application/json, "
        f"like {json.dumps(TradeForm(formdata=None).example)}"
    )
    return answer_problem(http.HTTPStatus.FORBIDDEN, "csrf", detail)


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
        hub=services().is_hub(),
    )
    return make_response(page, status)


def _write_curl(form: TradeForm) -> str:
    endpoint = url_for("trades.accept_trade", _external=True)
    body = json.dumps(form.example, ensure_ascii=False)
    return f"curl {shlex.quote(endpoint)} -H 'Content-Type: application/json' -d {shlex.quote(body)}"

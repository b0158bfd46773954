"""The page: a form for a trade, and the trades last accepted."""

import http
import json
import shlex
from collections.abc import Sequence
from typing import Final

from flask import Blueprint, Response, flash, g, make_response, redirect, render_template, request, url_for
from marshmallow import ValidationError
from uuid6 import uuid7
from werkzeug.wrappers import Response as BaseResponse

from common.errors import JournalError, KeyReusedError
from common.event import Event
from webapp.input.form import TradeForm, read_values
from webapp.input.idempotency import read_form
from webapp.input.schemas import read_messages, read_trade
from webapp.middleware.problems import RETRY_AFTER_SECONDS, describe_journal_failure, log_journal_failure, reject
from webapp.publisher import KeyedTrade, current_publisher
from webapp.reader import current_reader

RECENT = 20

FORM_BYTES: Final = 8 * 1024
"""Bytes of a posted form: the fields of a trade are short, and reading what is percent-encoded is slow."""

bp = Blueprint("desk", __name__)


@bp.get("/")
def show_desk() -> Response:
    """Show the form and the recent trades."""
    return _render(TradeForm(formdata=None), http.HTTPStatus.OK)


def accept_form() -> BaseResponse:
    """Accept the trade of a posted form, or show the form again with what was wrong and what was typed."""
    form = TradeForm()
    if not form.validate():
        reject("csrf")
        problem = "This form had expired, so nothing was sent. It is fresh again now: please send it once more."
        return _render(form, http.HTTPStatus.BAD_REQUEST, [problem])
    values = read_values(request.form)
    try:
        trade = read_trade(values)
    except ValidationError as error:
        reject("invalid")
        unplaced = form.show_errors(read_messages(error))
        problems = ["Nothing was sent: please look at the marked fields.", *unplaced]
        return _render(form, http.HTTPStatus.UNPROCESSABLE_ENTITY, problems)
    try:
        keyed = KeyedTrade(trade, read_form(form.idempotency_key.data, values))
        # A second click waits for the answer to the first.
        (event,) = current_publisher().accept([keyed], patient=True, request_id=g.request_id).events
    except KeyReusedError as error:
        reject(error.reason)
        form.idempotency_key.data = None
        problem = "This form was sent before, as another trade. If this one is meant as well, please send it now."
        return _render(form, http.HTTPStatus.UNPROCESSABLE_ENTITY, [problem])
    except JournalError as error:
        reject(f"journal_{error.reason}")
        log_journal_failure(error)
        response = _render(form, http.HTTPStatus.SERVICE_UNAVAILABLE, [describe_journal_failure(error)])
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response
    flash(f"Accepted as #{event.seq}: {event.side} {event.qty} {event.symbol} at {event.price}")
    return redirect(url_for("desk.show_desk"), http.HTTPStatus.SEE_OTHER)


def _render(form: TradeForm, status: http.HTTPStatus, problems: Sequence[str] = ()) -> Response:
    form.idempotency_key.data = form.idempotency_key.data or str(uuid7())
    recent: list[Event] | None
    try:
        recent = current_reader().select(limit=RECENT)[::-1]
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
    )
    return make_response(page, status)


def _write_curl(form: TradeForm) -> str:
    body = {field.name: field.data or field.description for field in (form.symbol, form.side, form.price, form.qty)}
    if form.ts.data:
        body["ts"] = form.ts.data
    endpoint = url_for("trades.accept_trade", _external=True)
    return f"curl {shlex.quote(endpoint)} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}"

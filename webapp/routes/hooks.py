"""Webhooks: trades of tools that cannot set headers or types, such as TradingView's alerts."""

import http
from typing import Final

import msgspec
from flask import Blueprint, Response, abort, g, request, url_for

from common.journal.appending import KeyedTrade
from common.timestamps import now
from webapp.input.hook_body import receive_payload
from webapp.input.hook_key import make_keys
from webapp.input.hook_payload import read_payload
from webapp.middleware.access_log import log_token, log_trades
from webapp.middleware.auth import PATH, find_hook, needs
from webapp.middleware.problems import count_rejection
from webapp.services import services

ANSWER_SECONDS: Final = 2.5
"""How long a commit is waited for: TradingView gives up after 3 s."""

bp = Blueprint("hooks", __name__)
bp.after_request(count_rejection)


@bp.post("/hooks/<token>")
@needs(PATH)
def accept_hook(token: str) -> Response:
    """Accept the trade of a payload, and answer 201 with it and with what it was read from.

    Raises NotFound, CredentialError, BadRequest, BadBodyError, ValidationError, RequestEntityTooLarge, RequestTimeout
    and JournalError, which the error handlers answer.
    """
    log_token(token)
    caller = find_hook(token)
    if caller is None:
        abort(http.HTTPStatus.NOT_FOUND, "No webhook has this token")
    said, payload = receive_payload(request)
    read = read_payload(payload, services().settings.quote_currencies)
    key, *other_keys = make_keys(read, said, caller.own({read.trade.source}), now())
    keyed = KeyedTrade(caller.attribute(read.trade), key, other_keys)
    # An alert that is sent again while the first one is in flight gets the answer of the first one.
    result = services().publisher.accept([keyed], wait_for_key=True, request_id=g.request_id, timeout=ANSWER_SECONDS)
    log_trades(result.events, result.accepted)
    (event,) = result.events
    answer = {
        "trade": event,
        "duplicate": not result.accepted,
        "read_from": read.read_from,
        "left_out": read.left_out,
    }
    response = Response(msgspec.json.encode(answer) + b"\n", http.HTTPStatus.CREATED, content_type="application/json")
    response.headers["Location"] = url_for("trades.show_trade", event_id=event.id)
    if not result.accepted:
        response.headers["Idempotent-Replayed"] = "true"
    return response

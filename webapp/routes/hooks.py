"""Webhooks: trades of tools that cannot set headers or types, such as TradingView's alerts."""

import http
import json
from typing import Any, Final

import msgspec
from flask import Blueprint, Response, abort, g, request, url_for
from msgspec import Struct

from common.event import Event
from common.journal.appending import KeyedTrade
from common.timestamps import now
from webapp.description import JSON, Answer, Content, Description, Parameter
from webapp.examples import ACCEPTED
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


class HookAnswer(Struct):
    """The trade, whether it was accepted before, and what was understood.

    ``read_from`` has the name in the payload by field; ``left_out`` says by field why a value was not used.
    """

    trade: Event
    duplicate: bool
    read_from: dict[str, str]
    left_out: dict[str, str]


_ALERT: Final = {"ticker": "BTCUSDT", "action": "buy", "close": "27123.45", "contracts": "0.250"}
_READ_FROM: Final = {"symbol": "ticker", "side": "action", "price": "close", "qty": "contracts"}


@bp.post("/hooks/<token>")
@needs(PATH)
@Description(
    path=(Parameter("token", "A token with the scope `hook`; `open` while the server is open", "open"),),
    body=(
        # JSON is read under any type; these are those of the tools.
        Content(JSON, dict[str, Any], _ALERT),
        Content("text/plain", str, json.dumps(_ALERT)),
        Content("application/x-www-form-urlencoded", dict[str, str], _ALERT),
    ),
    answers={
        201: Answer(
            "The accepted trade, and what was understood",
            (Content(JSON, HookAnswer, HookAnswer(ACCEPTED, duplicate=False, read_from=_READ_FROM, left_out={})),),
            {"Location": "The path of the trade", "Idempotent-Replayed": "`true` for a duplicate"},
        )
    },
    problems=(
        "bad_request",
        "json",
        "forwarded",
        "hub",
        "not_found",
        "request_timeout",
        "too_large",
        "invalid",
        "journal",
    ),
)
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
    answer = HookAnswer(event, not result.accepted, read.read_from, read.left_out)
    response = Response(msgspec.json.encode(answer) + b"\n", http.HTTPStatus.CREATED, content_type="application/json")
    response.headers["Location"] = url_for("trades.show_trade", event_id=event.id)
    if not result.accepted:
        response.headers["Idempotent-Replayed"] = "true"
    return response

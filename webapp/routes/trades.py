"""The trade API: accept a trade, read accepted trades."""

import http
import json
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from flask import Blueprint, Response, abort, g, make_response, render_template, request
from msgspec import Meta, Struct
from werkzeug.exceptions import UnsupportedMediaType
from werkzeug.wrappers import Response as BaseResponse

from common.credentials import READ, WRITE
from common.display import shorten, show_text
from common.event import Event, Seq
from common.journal.appending import KeyedTrade
from common.quotes import find_quote
from common.tally import EXACT
from common.timestamps import Timestamp
from common.wire import messages
from webapp.description import JSON, PAGE, Answer, Content, Description, Parameter
from webapp.examples import ACCEPTED, SENT
from webapp.input.batch import read_quickly
from webapp.input.idempotency import HEADER, read_header
from webapp.input.json_body import read_object, receive
from webapp.input.preference import RETURNED
from webapp.input.query import PageSchema, read_page
from webapp.input.schemas import BatchTradeSchema, TradeSchema, read_trade
from webapp.middleware.access_log import log_trades
from webapp.middleware.auth import current_caller, needs
from webapp.middleware.problems import count_rejection, prefers_html
from webapp.reasons import BODY, QUERY
from webapp.routes.trade_batch import BatchNumbers, accept_batch
from webapp.routes.trade_form import accept_form, answer_accepted
from webapp.services import services

_KEY: Final = Parameter(
    "Idempotency-Key",
    "A request that is sent again with its key is answered as the first time, and counts once",
    "order-4711",
    Annotated[str, Meta(pattern='^("[!#-~]{1,255}"|[!#-~]{1,255})$')],
)
_PREFER: Final = Parameter("Prefer", f"`{RETURNED}` asks for the accepted trades in the answer", RETURNED)
_REPLAYED: Final = {"Idempotent-Replayed": "`true` when the key was used before: nothing was written"}

bp = Blueprint("trades", __name__)
bp.after_request(count_rejection)


class TradePage(Struct):
    """Trades, oldest first; ``next`` is the ``after`` of the next page, ``pruned_seq`` the newest seq deleted."""

    trades: list[Event]
    next: Seq | None
    journal_id: str
    pruned_seq: int


@bp.post("/trade")
@needs(WRITE)
@Description(
    headers=(_KEY, _PREFER),
    body=(
        Content(JSON, TradeSchema, SENT),
        Content("application/x-www-form-urlencoded", dict[str, str], SENT | {"csrf_token": "of the desk"}),
    ),
    answers={
        201: Answer(
            "The accepted trade",
            (Content(JSON, Event, ACCEPTED),),
            {"Location": "The path of the trade", **_REPLAYED},
        ),
        303: Answer("The trade of a form was accepted", (PAGE,), {"Location": "The desk"}),
    },
    problems=(*BODY, "json", "csrf", "hub", "invalid", "unusual_price", "key_reused", "key_in_flight", "journal"),
)
def accept_trade() -> BaseResponse:
    """Accept one trade, as JSON or as the form of the desk, chosen by the content type. Raises UnsupportedMediaType."""
    match request.mimetype:
        case "application/json":
            return accept_json()
        case "application/x-www-form-urlencoded":
            return accept_form()
    given = shorten(request.mimetype) or "none"
    raise UnsupportedMediaType(
        f"Content-Type is {given}; expected application/json, or application/x-www-form-urlencoded from the desk",
    )


@bp.post("/trades")
@needs(WRITE)
@Description(
    headers=(
        _KEY,
        Parameter("Content-Encoding", "`gzip`, or none", "gzip"),
        _PREFER,
    ),
    body=(
        Content(JSON, list[BatchTradeSchema], [SENT | {"key": "order-4711"}]),
        Content("application/x-ndjson", str, "".join(f"{json.dumps(each)}\n" for each in (SENT, SENT))),
    ),
    answers={
        201: Answer(
            "How many trades were written",
            (Content(JSON, BatchNumbers, BatchNumbers(2, 0, 4, 5)),),
            {"Preference-Applied": f"`{RETURNED}` when it was asked for", **_REPLAYED},
        )
    },
    problems=(*BODY, "json", "hub", "invalid", "key_reused", "key_in_flight", "journal"),
)
def accept_trades() -> Response:
    """Accept a batch of trades, all or none."""
    return accept_batch()


def accept_json() -> Response:
    """Accept the trade of a JSON body and answer 201 with its event.

    Raises BadRequest, BadBodyError, ValidationError, KeyReusedError, KeyInFlightError and JournalError, which the
    error handlers answer.
    """
    body = receive(request)
    quick = None if HEADER in request.headers else read_quickly(body)
    caller = current_caller()
    if quick is not None and quick.key is None:
        keyed = KeyedTrade(caller.attribute(quick.trade))
    else:
        # A key is of the fields as they were sent; and the schema says what is wrong with a trade not read quickly.
        values = read_object(body)
        trade = read_trade(values)
        keyed = KeyedTrade(caller.attribute(trade), read_header(values, caller.own({trade.source})))
    result = services().publisher.accept([keyed], request_id=g.request_id)
    log_trades(result.events, result.accepted)
    return answer_accepted(result)


@bp.get("/trades")
@needs(READ)
@Description(
    query=PageSchema,
    answers={
        200: Answer("A page of trades", (Content(JSON, TradePage, TradePage([ACCEPTED], 42, ACCEPTED.journal_id, 0)),))
    },
    problems=(*QUERY, "journal"),
)
def list_trades() -> Response:
    """List accepted trades, oldest first: the newest ones, or those after the seq ``after``."""
    wanted = read_page(request.args)
    # One more than the limit shows whether another page follows.
    found = services().search.select(**{**wanted, "limit": wanted["limit"] + 1})
    following = None
    if wanted["after"] is None:
        page = found[-wanted["limit"] :]
    else:
        page = found[: wanted["limit"]]
        following = page[-1].seq if len(found) > len(page) else None
    # Read after the trades: those that were pruned meanwhile are then known to be missing.
    journal_id, pruned_seq = services().reader.ask(lambda journal: (journal.journal_id, journal.pruned_seq()))
    return _answer(msgspec.json.encode(TradePage(page, following, journal_id, pruned_seq)))


@bp.get("/trades/<event_id>")
@needs(READ)
@Description(
    path=(Parameter("event_id", "The id of an accepted trade", ACCEPTED.id),),
    answers={200: Answer("The trade; a browser gets a page", (Content(JSON, Event, ACCEPTED), PAGE))},
    problems=("not_found", "journal"),
)
def show_trade(event_id: str) -> Response:
    """Show one accepted trade, to a browser as a page with its history."""
    event = services().reader.find(event_id)
    if event is None:
        abort(http.HTTPStatus.NOT_FOUND, f"No accepted trade has the id {show_text(event_id)}")
    if prefers_html():
        page = make_response(render_template("trades/show.html", event=event, **_describe(event)))
        page.vary.add("Accept")
        return page
    return _answer(messages.encode(event))


def _describe(event: Event) -> dict[str, Any]:
    """Describe what happened to a trade: its notional, its way to the journal, and its counting."""
    mine = services()
    counted = mine.ask_counted(event)
    counted_at = None if counted is None else counted.counted_at
    return {
        "hub": mine.is_hub(),
        "quote": find_quote(event.symbol, mine.settings.quote_currencies),
        "notional": format(EXACT.multiply(Decimal(event.price), Decimal(event.qty)), "f"),
        "late": _measure(event.ts, event.accepted_at),
        "counted": counted,
        "delay": None if counted_at is None else _measure(event.accepted_at, counted_at),
    }


def _measure(earlier: Timestamp, later: Timestamp) -> float:
    """Measure the seconds between two times."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def _answer(body: bytes, status: http.HTTPStatus = http.HTTPStatus.OK) -> Response:
    return Response(body + b"\n", status, content_type="application/json")

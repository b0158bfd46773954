"""Batches of trades: ``POST /trades``. It has no blueprint of its own."""

import http
from functools import partial
from typing import Final

import msgspec
from flask import Response, g, request
from msgspec import UNSET, Struct, UnsetType
from werkzeug.exceptions import UnsupportedMediaType

from common.display import shorten
from common.errors import KeyReusedError
from common.event import Event, Seq
from common.journal.appending import AppendResult, KeyedTrades
from common.journal.keys import Key
from webapp.concurrency import pause, run_in_threadpool
from webapp.credentials import Caller
from webapp.input.batch import ERRORS_LIMIT, SentTrades, read_batch
from webapp.input.compression import decompress
from webapp.input.idempotency import read_request_header
from webapp.input.json_body import receive
from webapp.input.preference import RETURNED, is_representation_preferred
from webapp.middleware.access_log import log_trades
from webapp.middleware.auth import current_caller
from webapp.middleware.problems import answer_problem
from webapp.services import services

KINDS: Final = {"application/json": False, "application/x-ndjson": True}
"""The content types, and whether a body of it has one trade a line."""


class BatchNumbers(Struct):
    """How many trades were written, how many were duplicates, and the seqs of those written; null when none was."""

    accepted: int
    duplicates: int
    first_seq: Seq | None
    last_seq: Seq | None
    trades: list[Event] | UnsetType = UNSET


def accept_batch() -> Response:
    """Accept the trades of a body, all or none, and answer 201 with their numbers.

    Raises BadRequest, BadBodyError, BatchError, RequestEntityTooLarge, UnsupportedMediaType, KeyInFlightError and
    JournalError, which the error handlers answer.
    """
    mine = services()
    settings = mine.settings
    lines = KINDS.get(request.mimetype)
    if lines is None:
        given = shorten(request.mimetype) or "none"
        raise UnsupportedMediaType(f"Content-Type is {given}; expected {' or '.join(KINDS)}")
    body = receive(request, settings.batch_max_bytes)
    encoding = request.headers.get("Content-Encoding", "")
    with mine.batch_lock:
        if encoding:
            body = run_in_threadpool(partial(decompress, body, encoding, settings.batch_max_bytes))
        sent = read_batch(body, lines=lines, limit=settings.batch_max_trades, pause=pause)
        caller = current_caller()
        key = read_request_header(caller.own(set(sent.trades.columns["source"])), body)
    trades = _name(sent, caller)
    try:
        result = mine.publisher.accept(trades, key, request_id=g.request_id)
    except KeyReusedError as error:
        errors = {str(row): {"key": [error.detail]} for row in error.rows[:ERRORS_LIMIT]}
        return answer_problem(http.HTTPStatus.UNPROCESSABLE_ENTITY, error.reason, error.detail, errors)
    log_trades(result.events if len(trades) == 1 else trades.trades, result.accepted)
    return _answer(result)


def _name(sent: SentTrades, caller: Caller) -> KeyedTrades:
    """Give each trade the source and each key the owner that the caller decides."""
    trades, names, digests = sent
    keys: list[Key | None] = []
    if names:
        sources = trades.columns["source"]
        owners = {source: caller.own({source}) for source in set(sources)}
        keys = [
            None if name is None else Key(owners[source], name, digest)
            for source, name, digest in zip(sources, names, digests, strict=True)
        ]
    return KeyedTrades(caller.attribute_all(trades), keys)


def number(result: AppendResult) -> BatchNumbers:
    """Return the numbers of a batch."""
    wrote = result.accepted > 0
    return BatchNumbers(
        accepted=result.accepted,
        duplicates=result.duplicates,
        first_seq=result.last_seq - result.accepted + 1 if wrote else None,
        last_seq=result.last_seq if wrote else None,
    )


def write_numbers(numbers: BatchNumbers) -> bytes:
    """Write the body of an answer."""
    return msgspec.json.encode(numbers) + b"\n"


def _answer(result: AppendResult) -> Response:
    numbers = number(result)
    response = Response(status=http.HTTPStatus.CREATED, content_type="application/json")
    if is_representation_preferred():
        numbers.trades = list(result.events)
        response.headers["Preference-Applied"] = RETURNED
    response.data = write_numbers(numbers)
    if result.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response

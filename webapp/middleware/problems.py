"""Errors: problem+json (RFC 9457) for programs, a page for browsers, and a reason for the access log."""

import http
import logging
from collections.abc import Mapping
from typing import Final

from flask import Flask, Response, current_app, g, make_response, render_template, request
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from common.errors import JournalError, KeyInFlightError, KeyReusedError
from webapp.input.batch import ERRORS_LIMIT, BatchError
from webapp.input.json_body import BadBodyError
from webapp.input.schemas import read_messages
from webapp.reasons import Errors, Problem
from webapp.services import services

RETRY_AFTER_SECONDS: Final = 1
ACCEPT_BYTES: Final = 1024
"""The longest Accept header that is parsed: each kilobyte takes a millisecond."""

_log = logging.getLogger(__name__)


def reject(reason: str) -> None:
    """Set the reason of this request's rejection, for the access log and the count of rejected trades."""
    g.reason = reason


def answer_problem(status: int, reason: str, detail: str, errors: Errors | None = None) -> Response:
    """Return a problem, as JSON or as a page by the client's Accept header, and set its reason."""
    reject(reason)
    problem: Problem = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "reason": reason,
        "request_id": g.request_id,
    }
    if errors:
        problem["errors"] = errors
    if prefers_html():
        response = make_response(render_template("problems/problem.html", problem=problem), status)
    else:
        response = make_response(current_app.json.dumps(problem, ensure_ascii=False) + "\n", status)
        response.mimetype = "application/problem+json"
    if status in {http.HTTPStatus.SERVICE_UNAVAILABLE, http.HTTPStatus.CONFLICT}:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def count_rejection(response: Response) -> Response:
    """Count a rejected trade; for the blueprints whose every POST is a trade.

    Every rejection sets a reason, in the views, the error handlers or the checks of Host and Origin before them.
    """
    if request.method == "POST" and "reason" in g:
        services().metrics.rejections.labels(g.reason).inc()
    return response


def describe_journal_failure(error: JournalError) -> str:
    """Describe a failure of the journal to a client; the details are only in the log."""
    if error.reason == "slow":
        return "The journal has not answered yet, so it is not known whether the trade was accepted. Send it again."
    return f"The journal cannot be used now ({error.reason}): nothing was accepted. Try again in a moment."


def prefers_html() -> bool:
    """Return whether the client is a browser, by its Accept header."""
    if len(request.headers.get("Accept", "")) > ACCEPT_BYTES:
        return False
    kinds = ["application/problem+json", "application/json", "text/html"]
    return request.accept_mimetypes.best_match(kinds) == "text/html"


def _answer_http(error: HTTPException) -> Response | HTTPException:
    if error.code is None or error.code < http.HTTPStatus.BAD_REQUEST:
        return error
    response = answer_problem(error.code, error.name.lower().replace(" ", "_"), error.description or error.name)
    for name, value in error.get_headers():
        if name.lower() == "allow":
            response.headers[name] = value
    return response


def _answer_too_large(error: RequestEntityTooLarge) -> Response:
    given = error.description if error.description != RequestEntityTooLarge.description else None
    detail = given or f"The body is larger than {request.max_content_length} bytes, the limit"
    return answer_problem(http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", detail)


def _answer_body(error: BadBodyError) -> Response:
    return answer_problem(http.HTTPStatus.BAD_REQUEST, "json", str(error))


def _answer_fields(error: ValidationError) -> Response:
    errors = read_messages(error)
    return answer_problem(http.HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", _join(errors), errors)


def _answer_batch(error: BatchError) -> Response:
    (index, first), *_ = error.errors.items()
    more = " or more" if len(error.errors) == ERRORS_LIMIT else ""
    detail = f"{len(error.errors)}{more} of {error.trades} trades are not accepted, so none is. Trade {index}: "
    return answer_problem(http.HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail + _join(first), error.errors)


def _join(errors: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{name}: {' '.join(messages)}" for name, messages in errors.items())


def _answer_journal(error: JournalError) -> Response:
    log_journal_failure(error)
    detail = describe_journal_failure(error)
    return answer_problem(http.HTTPStatus.SERVICE_UNAVAILABLE, f"journal_{error.reason}", detail)


def _answer_key_reused(error: KeyReusedError) -> Response:
    return answer_problem(http.HTTPStatus.UNPROCESSABLE_ENTITY, error.reason, error.detail)


def _answer_key_in_flight(error: KeyInFlightError) -> Response:
    return answer_problem(http.HTTPStatus.CONFLICT, error.reason, error.detail)


def log_journal_failure(error: JournalError) -> None:
    """Log a failure of the journal, with its details."""
    _log.error("journal failed", extra={"reason": error.reason, "detail": error.detail, "request_id": g.request_id})


def _answer_bug(error: Exception) -> Response:
    _log.error("request failed", exc_info=error, extra={"request_id": g.request_id})
    return answer_problem(http.HTTPStatus.INTERNAL_SERVER_ERROR, "bug", "The server failed; its log has the details.")


def init_app(app: Flask) -> None:
    """Register the error handlers."""
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(RequestEntityTooLarge, _answer_too_large)
    app.register_error_handler(BadBodyError, _answer_body)
    app.register_error_handler(ValidationError, _answer_fields)
    app.register_error_handler(BatchError, _answer_batch)
    app.register_error_handler(JournalError, _answer_journal)
    app.register_error_handler(KeyReusedError, _answer_key_reused)
    app.register_error_handler(KeyInFlightError, _answer_key_in_flight)
    app.register_error_handler(Exception, _answer_bug)

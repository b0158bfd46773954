"""Malformed requests: those that gunicorn cannot parse, and the application does not receive."""

import http
import logging
from typing import Final, NamedTuple

from gunicorn.http import errors  # type: ignore[import-untyped] # gunicorn is not typed

from common.throttle import Throttle
from webapp.middleware.access_log import OTHER_METHOD, UNMATCHED
from webapp.server.connections import Address
from webapp.server.deadlines import DeadlineSocket
from webapp.worker_metrics import WorkerMetrics

_BAD: Final = http.HTTPStatus.BAD_REQUEST


class ParseProblem(NamedTuple):
    """The problem of a request, without any of its text."""

    status: http.HTTPStatus
    reason: str
    detail: str


_UNREADABLE: Final = ParseProblem(_BAD, "malformed", "this is not an HTTP/1.0 or HTTP/1.1 request")
_KINDS: Final[dict[type[Exception], ParseProblem]] = {
    errors.InvalidRequestLine: ParseProblem(_BAD, "request_line", "the request line is not: method, target, version"),
    errors.InvalidRequestMethod: ParseProblem(_BAD, "method", "the method is not an HTTP method"),
    errors.InvalidHTTPVersion: ParseProblem(_BAD, "http_version", "the version is neither HTTP/1.0 nor HTTP/1.1"),
    errors.InvalidHeader: ParseProblem(_BAD, "header", "a header is malformed, duplicate, or contradicts another"),
    errors.InvalidHeaderName: ParseProblem(_BAD, "header", "the name of a header is malformed"),
    errors.ObsoleteFolding: ParseProblem(_BAD, "header", "a header continues in the next line"),
    errors.ExpectationFailed: ParseProblem(
        http.HTTPStatus.EXPECTATION_FAILED, "expectation", "Expect is not 100-continue"
    ),
    errors.LimitRequestLine: ParseProblem(
        http.HTTPStatus.REQUEST_URI_TOO_LONG, "too_large", "the request line is too long"
    ),
    errors.LimitRequestHeaders: ParseProblem(
        http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too_large", "there are too many headers, or one is too long"
    ),
    errors.UnsupportedTransferCoding: ParseProblem(
        http.HTTPStatus.NOT_IMPLEMENTED, "transfer_coding", "Transfer-Encoding is not chunked"
    ),
}
_RESPONSE_ERRORS: Final = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)

_log = logging.getLogger(__name__)


def describe(error: BaseException) -> ParseProblem | None:
    """Return the problem of a request; None when the error is not the client's."""
    if not isinstance(error, errors.ParseException) or isinstance(error, _RESPONSE_ERRORS):
        return None
    return next((found for kind, found in _KINDS.items() if isinstance(error, kind)), _UNREADABLE)


class MalformedRequests:
    """Answers and counts the malformed requests of one worker, and logs them at a limited rate."""

    def __init__(self, metrics: WorkerMetrics, throttle: Throttle | None = None) -> None:
        self._metrics = metrics
        self._throttle = throttle or Throttle()

    def answer(self, problem: ParseProblem, client: DeadlineSocket, address: Address) -> None:
        """Answer one malformed request, count it, and end its connection."""
        request_id = client.reject(problem.status, problem.reason, problem.detail)
        self._metrics.count_request(OTHER_METHOD, UNMATCHED, problem.status, 0, request_id)
        count = self._throttle.take(problem.reason)
        if count:
            shown = address[0] if isinstance(address, tuple) else ""
            line = {"request_id": request_id, "status": problem.status, "reason": problem.reason, "client": shown}
            _log.warning("malformed request", extra=line | {"count": count})

"""Malformed requests: those that gunicorn cannot read, which the application never sees."""

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


class Malformation(NamedTuple):
    """What is wrong with a request; never what it said, which may be anything."""

    status: http.HTTPStatus
    reason: str
    detail: str


_UNREADABLE: Final = Malformation(_BAD, "malformed", "this is no request of HTTP/1.0 or HTTP/1.1")
_KINDS: Final[dict[type[Exception], Malformation]] = {
    errors.InvalidRequestLine: Malformation(_BAD, "request_line", "the request line is not: method, target, version"),
    errors.InvalidRequestMethod: Malformation(_BAD, "method", "the method is not one of HTTP"),
    errors.InvalidHTTPVersion: Malformation(_BAD, "http_version", "the version is neither HTTP/1.0 nor HTTP/1.1"),
    errors.InvalidHeader: Malformation(_BAD, "header", "a header is malformed, contradicts another or is there twice"),
    errors.InvalidHeaderName: Malformation(_BAD, "header", "the name of a header is malformed"),
    errors.ObsoleteFolding: Malformation(_BAD, "header", "a header goes on in the next line"),
    errors.ExpectationFailed: Malformation(
        http.HTTPStatus.EXPECTATION_FAILED, "expectation", "Expect is something else than 100-continue"
    ),
    errors.LimitRequestLine: Malformation(
        http.HTTPStatus.REQUEST_URI_TOO_LONG, "too_large", "the request line is too long"
    ),
    errors.LimitRequestHeaders: Malformation(
        http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too_large", "there are too many headers, or too long ones"
    ),
    errors.UnsupportedTransferCoding: Malformation(
        http.HTTPStatus.NOT_IMPLEMENTED, "transfer_coding", "Transfer-Encoding is something else than chunked"
    ),
}
_OURS: Final = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)

_log = logging.getLogger(__name__)


def describe(error: BaseException) -> Malformation | None:
    """Describe what is wrong with a request; None when the fault is not the client's."""
    if not isinstance(error, errors.ParseException) or isinstance(error, _OURS):
        return None
    return next((found for kind, found in _KINDS.items() if isinstance(error, kind)), _UNREADABLE)


class MalformedRequests:
    """Answers the malformed requests of one worker, counts each, and logs them at a bounded rate."""

    def __init__(self, measures: WorkerMetrics, throttle: Throttle | None = None) -> None:
        self._measures = measures
        self._throttle = throttle or Throttle()

    def answer(self, found: Malformation, client: DeadlineSocket, address: Address) -> None:
        """Answer one malformed request, and end its connection."""
        request_id = client.reject(found.status, found.reason, found.detail)
        self._measures.count_request(OTHER_METHOD, UNMATCHED, found.status, 0, request_id)
        count = self._throttle.take(found.reason)
        if count:
            shown = address[0] if isinstance(address, tuple) else ""
            line = {"request_id": request_id, "status": found.status, "reason": found.reason, "client": shown}
            _log.warning("malformed request", extra=line | {"count": count})

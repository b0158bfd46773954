"""Request ids, the access log and the request counts: one line per request, with the reason of a rejection."""

import logging
import re
import time
from typing import Final

from flask import Flask, Response, g, request
from uuid6 import uuid7

from webapp.worker_metrics import current_metrics

UNMATCHED: Final = "(unmatched)"
"""The route of every path that matches no rule: paths are user input."""

OTHER_METHOD: Final = "(other)"
"""The method of every request with a non-standard or unreadable one."""

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_log = logging.getLogger(__name__)


def _begin() -> None:
    g.started = time.perf_counter()
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _WELL_FORMED.fullmatch(given) else str(uuid7())


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    method = request.method if request.method in _METHODS else OTHER_METHOD
    route = request.url_rule.rule if request.url_rule else UNMATCHED
    seconds = time.perf_counter() - g.started
    line = {
        "request_id": g.request_id,
        "method": method,
        "route": route,
        "status": response.status_code,
        "duration_ms": round(seconds * 1000, 3),
    }
    current_metrics().count_request(method, route, response.status_code, seconds, g.request_id)
    if "reason" in g:
        line["reason"] = g.reason
    _log.info("request", extra=line)
    return response


def init_app(app: Flask) -> None:
    """Give every request an id and a line in the log."""
    app.before_request(_begin)
    app.after_request(_finish)

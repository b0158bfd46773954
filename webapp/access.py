"""Request ids and the access log: one line for each request, with its refusal's reason if it was refused."""

import logging
import re
import time
from typing import Final

from flask import Flask, Response, g, request
from uuid6 import uuid7

UNMATCHED: Final = "(unmatched)"
"""The route of every path that no rule matches: paths are users' input."""

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_log = logging.getLogger(__name__)


def _begin() -> None:
    g.began = time.perf_counter()
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _WELL_FORMED.fullmatch(given) else str(uuid7())


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    line = {
        "request_id": g.request_id,
        "method": request.method if request.method in _METHODS else "(other)",
        "route": request.url_rule.rule if request.url_rule else UNMATCHED,
        "status": response.status_code,
        "duration_ms": round((time.perf_counter() - g.began) * 1000, 3),
    }
    if "reason" in g:
        line["reason"] = g.reason
    _log.info("request", extra=line)
    return response


def init_app(app: Flask) -> None:
    """Give every request an id and a line in the log."""
    app.before_request(_begin)
    app.after_request(_finish)

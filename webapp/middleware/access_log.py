"""Request ids, request counts, and the access log: one line per request, with its client and its trade or reason."""

import hashlib
import http
import logging
import re
import time
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from flask import Flask, Response, g, request
from uuid_utils import uuid7

from common.event import Event, Trade
from webapp.credentials import Caller
from webapp.services import services

UNMATCHED: Final = "(unmatched)"
"""The route of every path that matches no rule: paths are user input."""

OTHER_METHOD: Final = "(other)"
"""The method of every request with a non-standard or unreadable one."""

USER_AGENT_LENGTH: Final = 200
"""The most characters of a User-Agent that are logged: clients choose it."""

TOKEN_DIGITS: Final = 12
"""The digits of a token's hash that are logged: they tell tokens apart."""

_SHARED: Final = ("symbol", "source")
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_log = logging.getLogger(__name__)


def _begin() -> None:
    g.started = time.perf_counter()
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _WELL_FORMED.fullmatch(given) else str(uuid7())


def log_token(token: str) -> None:
    """Add the hash of the token in the path of this request to its line."""
    g.logged = {"token_hash": hashlib.sha256(token.encode()).hexdigest()[:TOKEN_DIGITS]}


def log_trades(trades: Sequence[Trade], accepted: int) -> None:
    """Add the trades of this request to its line: how many were ``accepted``, and the fields that all of them share.

    Of several, the events are not needed: to make them takes longer than to log them.
    """
    g.logged = g.get("logged", {}) | {"trades": accepted}
    if len(trades) == 1 and isinstance(trades[0], Event):
        g.logged["trade_id"] = trades[0].id
    for name in _SHARED:
        values = set(map(attrgetter(name), trades))
        if len(values) == 1:
            g.logged[name] = values.pop()


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    method = request.method if request.method in _METHODS else OTHER_METHOD
    route = request.url_rule.rule if request.url_rule else UNMATCHED
    seconds = time.perf_counter() - g.started
    mine = services()
    mine.metrics.count_request(method, route, response.status_code, seconds, g.request_id)
    if response.status_code < http.HTTPStatus.BAD_REQUEST and mine.request_lines.take(""):
        return response
    line = {
        "request_id": g.request_id,
        "method": method,
        "route": route,
        "status": response.status_code,
        "duration_ms": round(seconds * 1000, 3),
        "client": request.remote_addr or "",
        "user_agent": request.headers.get("User-Agent", "")[:USER_AGENT_LENGTH],
        **g.get("logged", {}),
    }
    caller: Caller | None = g.get("caller")
    if caller is not None and caller.name:
        line[caller.kind] = caller.name
    if "reason" in g:
        line["reason"] = g.reason
    _log.info("request", extra=line)
    return response


def init_app(app: Flask) -> None:
    """Give every request an id and a line in the log."""
    app.before_request(_begin)
    app.after_request(_finish)

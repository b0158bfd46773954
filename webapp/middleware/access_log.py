"""Request ids, request counts, and the access log: one line per request, with its client and its trade or reason."""

import hashlib
import http
import logging
import re
import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from flask import Flask, Response, g, request
from uuid_utils import uuid7

from common.event import Event, Trade, read_field
from webapp.credentials import Caller
from webapp.services import Services, services

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


class Answered(NamedTuple):
    """A request that was answered after ``seconds``; ``more`` is what its line has beside these."""

    request_id: str
    method: str
    route: str
    status: int
    seconds: float
    client: str
    user_agent: str
    more: Mapping[str, object]


def _begin() -> None:
    g.started = time.perf_counter()
    g.request_id = choose_id(request.headers.get("X-Request-ID", ""))


def choose_id(given: str) -> str:
    """Return the id of a request: the one that its client has given, if it is well-formed, or a new one."""
    return given if _WELL_FORMED.fullmatch(given) else str(uuid7())


def log_token(token: str) -> None:
    """Add the hash of the token in the path of this request to its line."""
    g.logged = {"token_hash": hashlib.sha256(token.encode()).hexdigest()[:TOKEN_DIGITS]}


def log_trades(trades: Sequence[Trade], accepted: int) -> None:
    """Add the trades of this request to its line."""
    g.logged = g.get("logged", {}) | describe_trades(trades, accepted)


def describe_trades(trades: Sequence[Trade], accepted: int) -> dict[str, object]:
    """Describe the trades of a request for its line: how many were ``accepted``, and the fields that all share.

    Of several, the events are not needed: to make them takes longer than to log them.
    """
    described: dict[str, object] = {"trades": accepted}
    if len(trades) == 1 and isinstance(trades[0], Event):
        described["trade_id"] = trades[0].id
    for name in _SHARED:
        values = set(read_field(trades, name))
        if len(values) == 1:
            described[name] = values.pop()
    return described


def describe_caller(caller: Caller | None) -> dict[str, object]:
    """Describe who sent a request for its line: the name of a token or of a user."""
    return {caller.kind: caller.name} if caller is not None and caller.name else {}


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    method = request.method if request.method in _METHODS else OTHER_METHOD
    route = request.url_rule.rule if request.url_rule else UNMATCHED
    more = g.get("logged", {}) | describe_caller(g.get("caller"))
    if "reason" in g:
        more["reason"] = g.reason
    note_answer(
        services(),
        Answered(
            g.request_id,
            method,
            route,
            response.status_code,
            time.perf_counter() - g.started,
            request.remote_addr or "",
            request.headers.get("User-Agent", ""),
            more,
        ),
    )
    return response


def note_answer(mine: Services, answered: Answered) -> None:
    """Count a request that was answered, and log its line, if it is to have one."""
    request_id, method, route, status, seconds, client, user_agent, more = answered
    mine.metrics.count_request(method, route, status, seconds, request_id)
    if status < http.HTTPStatus.BAD_REQUEST and mine.request_lines.take(""):
        return
    line = {
        "request_id": request_id,
        "method": method,
        "route": route,
        "status": status,
        "duration_ms": round(seconds * 1000, 3),
        "client": client,
        "user_agent": user_agent[:USER_AGENT_LENGTH],
        **more,
    }
    _log.info("request", extra=line)


def init_app(app: Flask) -> None:
    """Give every request an id and a line in the log."""
    app.before_request(_begin)
    app.after_request(_finish)

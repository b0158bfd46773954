"""The plain ``POST /trade``: one that needs nothing of what Flask does is answered without it, in 0.6 of the time.

It is a program's: good JSON, no cookie, no key, no header that anything here looks at but those of ``_READ``. It passes
the same checks, by the same functions, in the same order; any request that is not plain, or that a check rejects, is
left to Flask, which begins again and gives the reason (docs/decisions/0098).
"""

import io
import time
from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, g
from werkzeug.exceptions import HTTPException

from common.credentials import WRITE
from common.errors import CredentialError, JournalError
from common.event import Trade
from common.hosts import HostRule, RequestRejectedError
from common.journal.appending import KeyedTrade
from common.settings import Settings
from common.wire import messages
from webapp.clients import find_site
from webapp.credentials import Caller
from webapp.input.batch import read_quickly
from webapp.middleware.access_log import Answered, choose_id, describe_caller, describe_trades, note_answer
from webapp.middleware.auth import read_bearer
from webapp.middleware.hosts import make_rule
from webapp.middleware.rate_limits import take_write
from webapp.middleware.security_headers import HEADERS, NOT_STORED
from webapp.services import Services, services

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PATH: Final = "/trade"

_READ: Final = frozenset({"HTTP_HOST", "HTTP_AUTHORIZATION", "HTTP_X_REQUEST_ID", "HTTP_USER_AGENT"})
_IGNORED: Final = frozenset({"HTTP_ACCEPT", "HTTP_ACCEPT_ENCODING", "HTTP_ACCEPT_LANGUAGE", "HTTP_CONNECTION"})
_KNOWN: Final = _READ | _IGNORED
_PLAIN: Final = {
    "PATH_INFO": PATH,
    "REQUEST_METHOD": "POST",
    "CONTENT_TYPE": "application/json",
    "QUERY_STRING": "",
    "SCRIPT_NAME": "",
    "wsgi.url_scheme": "http",
}
_BODY_BYTES: Final = 4096
_CREATED: Final = f"{HTTPStatus.CREATED.value} {HTTPStatus.CREATED.phrase.upper()}"
_FIXED: Final = [*HEADERS.items(), NOT_STORED]


class _NotPlainError(Exception):
    """Leave the request to Flask."""


def init_app(app: Flask) -> None:
    """Answer plain requests before Flask does; none is plain with CORS, whose answers have more headers."""
    settings: Settings = app.config["SETTINGS"]
    if not settings.webapp_cors_origins:
        app.wsgi_app = partial(_serve, app, app.wsgi_app, make_rule(settings))  # type: ignore[method-assign] # as Flask documents it


def _serve(
    app: Flask,
    serve: Any,  # noqa: ANN401 - the types of WSGI
    rule: HostRule,
    environ: "WSGIEnvironment",
    start_response: "StartResponse",
) -> Iterable[bytes]:
    if environ["PATH_INFO"] != PATH:
        return serve(environ, start_response)  # type: ignore[no-any-return] # the types of WSGI
    started, mine = time.perf_counter(), services(app)
    try:
        caller, trade = _read(environ, mine, rule)
    except (_NotPlainError, RequestRejectedError, CredentialError, JournalError):
        return serve(environ, start_response)  # type: ignore[no-any-return] # the types of WSGI
    request_id = choose_id(environ.get("HTTP_X_REQUEST_ID", ""))
    try:
        result = mine.publisher.accept([KeyedTrade(trade)], request_id=request_id)
    except Exception as error:  # noqa: BLE001 - as Flask does; its handlers have the answer
        with app.request_context(environ):
            g.started, g.request_id, g.caller = started, request_id, caller
            response = app.finalize_request(app.handle_user_exception(error))
            return response(environ, start_response)
    (event,) = result.events
    body = messages.encode(event) + b"\n"
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Location", f"{PATH}s/{event.id}"),
        *_FIXED,
        ("X-Request-ID", request_id),
    ]
    seconds, more = time.perf_counter() - started, describe_trades(result.events, 1) | describe_caller(caller)
    client, agent = environ.get("REMOTE_ADDR", ""), environ.get("HTTP_USER_AGENT", "")
    note_answer(mine, Answered(request_id, "POST", PATH, HTTPStatus.CREATED, seconds, client, agent, more))
    start_response(_CREATED, headers)
    return [body]


def _read(environ: "WSGIEnvironment", mine: Services, rule: HostRule) -> tuple[Caller, Trade]:
    """Check a request and read its trade. Raises what leaves it to Flask; the body is then there to be read again."""
    if any(environ.get(name) != value for name, value in _PLAIN.items()) or _find_others(environ):
        raise _NotPlainError
    rule.check_host(environ.get("HTTP_HOST"), environ.get("RAW_URI"), environ.get("SERVER_PROTOCOL", ""))
    caller = mine.credentials.identify(read_bearer(environ.get("HTTP_AUTHORIZATION")))
    # A session needs the token of a form.
    if caller.kind == "user" or WRITE not in caller.scopes or mine.is_hub():
        raise _NotPlainError
    quick = read_quickly(_receive(environ))
    site = find_site(environ.get("REMOTE_ADDR", ""))
    # The limit is last: what is left to Flask is counted there.
    if quick is None or quick.key is not None or (site is not None and take_write(mine, site, caller)):
        raise _NotPlainError
    return caller, caller.attribute(quick.trade)


def _find_others(environ: "WSGIEnvironment") -> bool:
    """Return whether a request has a header that is not one of a plain request."""
    return any(name.startswith("HTTP_") and name not in _KNOWN for name in environ)


def _receive(environ: "WSGIEnvironment") -> bytes:
    length = environ.get("CONTENT_LENGTH", "")
    if not (length.isascii() and length.isdigit()) or int(length) > _BODY_BYTES:
        raise _NotPlainError
    try:
        body: bytes = environ["wsgi.input"].read(int(length))
    except (OSError, HTTPException):
        # A body that is late or broken is so again when Flask reads the rest of it.
        raise _NotPlainError from None
    environ["wsgi.input"] = io.BytesIO(body)
    if len(body) < int(length):
        raise _NotPlainError
    return body

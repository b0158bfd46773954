"""The plain ``POST /trade`` and ``POST /trades``: what needs nothing of what Flask does is answered without it.

It is a program's: good JSON, no cookie, no key, no header that anything here looks at but those of ``_READ``. It passes
the same checks, by the same functions, in the same order; any request that is not plain, or that a check rejects, is
left to Flask, which begins again and gives the reason (docs/decisions/0098, 0111).
"""

import io
import time
from collections.abc import Iterable, Sequence
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, g
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from common.credentials import WRITE
from common.errors import CredentialError, JournalError
from common.hosts import HostRule, RequestRejectedError
from common.journal.appending import AppendResult, KeyedTrade, KeyedTrades
from common.settings import Settings
from common.wire import messages
from webapp.clients import find_site
from webapp.concurrency import pause
from webapp.credentials import Caller
from webapp.input.batch import read_good_batch, read_quickly
from webapp.input.json_body import BadBodyError
from webapp.input.trade_columns import KEY
from webapp.middleware.access_log import Answered, choose_id, describe_caller, describe_trades, note_answer
from webapp.middleware.auth import read_bearer
from webapp.middleware.hosts import make_rule
from webapp.middleware.rate_limits import may_write, take_write
from webapp.middleware.security_headers import HEADERS, NOT_STORED
from webapp.routes.trade_batch import KINDS, number, write_numbers
from webapp.services import Services, services

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

TRADE_PATH: Final = "/trade"
BATCH_PATH: Final = "/trades"

_READ: Final = frozenset({"HTTP_HOST", "HTTP_AUTHORIZATION", "HTTP_X_REQUEST_ID", "HTTP_USER_AGENT"})
_IGNORED: Final = frozenset({"HTTP_ACCEPT", "HTTP_ACCEPT_ENCODING", "HTTP_ACCEPT_LANGUAGE", "HTTP_CONNECTION"})
_KNOWN: Final = _READ | _IGNORED
_PLAIN: Final = {
    "REQUEST_METHOD": "POST",
    "QUERY_STRING": "",
    "SCRIPT_NAME": "",
    "wsgi.url_scheme": "http",
}
_BODY_BYTES: Final = 4096
_KEY: Final = f'"{KEY}"'.encode()
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
    path = environ["PATH_INFO"]
    read = _READERS.get(path)
    if read is None:
        return serve(environ, start_response)  # type: ignore[no-any-return] # the types of WSGI
    started, mine = time.perf_counter(), services(app)
    try:
        caller = _identify(environ, mine, rule)
        site = find_site(environ.get("REMOTE_ADDR", ""))
        # Before a body is read for nothing. Counted last: what is left to Flask is counted there.
        if site is not None and not may_write(mine, site, caller):
            raise _NotPlainError  # noqa: TRY301 - as every other check
        trades = read(environ, mine, caller)
        if site is not None and take_write(mine, site, caller):
            raise _NotPlainError  # noqa: TRY301 - as every other check
    except (_NotPlainError, RequestRejectedError, CredentialError, JournalError):
        return serve(environ, start_response)  # type: ignore[no-any-return] # the types of WSGI
    request_id = choose_id(environ.get("HTTP_X_REQUEST_ID", ""))
    try:
        result = mine.publisher.accept(trades, request_id=request_id)
    except Exception as error:  # noqa: BLE001 - as Flask does; its handlers have the answer
        with app.request_context(environ):
            g.started, g.request_id, g.caller = started, request_id, caller
            response = app.finalize_request(app.handle_user_exception(error))
            return response(environ, start_response)
    place, body = _answer(path, result)
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        *place,
        *_FIXED,
        ("X-Request-ID", request_id),
    ]
    shown = trades.trades if isinstance(trades, KeyedTrades) and len(trades) > 1 else result.events
    seconds, more = time.perf_counter() - started, describe_trades(shown, result.accepted) | describe_caller(caller)
    client, agent = environ.get("REMOTE_ADDR", ""), environ.get("HTTP_USER_AGENT", "")
    note_answer(mine, Answered(request_id, "POST", path, HTTPStatus.CREATED, seconds, client, agent, more))
    start_response(_CREATED, headers)
    return [body]


def _answer(path: str, result: AppendResult) -> tuple[list[tuple[str, str]], bytes]:
    if path == BATCH_PATH:
        return [], write_numbers(number(result))
    (event,) = result.events
    return [("Location", f"{BATCH_PATH}/{event.id}")], messages.encode(event) + b"\n"


def _identify(environ: "WSGIEnvironment", mine: Services, rule: HostRule) -> Caller:
    """Check all but the body of a request, and return who sends it. Raises what leaves it to Flask."""
    if any(environ.get(name) != value for name, value in _PLAIN.items()) or _find_others(environ):
        raise _NotPlainError
    rule.check_host(environ.get("HTTP_HOST"), environ.get("RAW_URI"), environ.get("SERVER_PROTOCOL", ""))
    caller = mine.credentials.identify(read_bearer(environ.get("HTTP_AUTHORIZATION")))
    # A session needs the token of a form.
    if caller.kind == "user" or WRITE not in caller.scopes or mine.is_hub():
        raise _NotPlainError
    return caller


def _read_trade(environ: "WSGIEnvironment", _: Services, caller: Caller) -> Sequence[KeyedTrade]:
    if environ.get("CONTENT_TYPE") != "application/json":
        raise _NotPlainError
    quick = read_quickly(_receive(environ, _BODY_BYTES))
    if quick is None or quick.key is not None:
        raise _NotPlainError
    return [KeyedTrade(caller.attribute(quick.trade))]


def _read_batch(environ: "WSGIEnvironment", mine: Services, caller: Caller) -> Sequence[KeyedTrade]:
    lines, settings = KINDS.get(environ.get("CONTENT_TYPE", "")), mine.settings
    if lines is None:
        raise _NotPlainError
    body = _receive(environ, settings.batch_max_bytes)
    # Before it is read, which takes longer than all that Flask does.
    if _KEY in body:
        raise _NotPlainError
    with mine.batch_lock:
        try:
            sent = read_good_batch(body, lines=lines, limit=settings.batch_max_trades, pause=pause)
        except (BadBodyError, RequestEntityTooLarge):
            raise _NotPlainError from None
    if sent is None or sent.names:
        raise _NotPlainError
    return KeyedTrades(caller.attribute_all(sent.trades))


_READERS: Final = {TRADE_PATH: _read_trade, BATCH_PATH: _read_batch}
"""How the trades of a plain request are read, by its path; the body is then there to be read again."""


def _find_others(environ: "WSGIEnvironment") -> bool:
    """Return whether a request has a header that is not one of a plain request."""
    return any(name.startswith("HTTP_") and name not in _KNOWN for name in environ)


def _receive(environ: "WSGIEnvironment", limit: int) -> bytes:
    length = environ.get("CONTENT_LENGTH", "")
    if not (length.isascii() and length.isdigit()) or int(length) > limit:
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

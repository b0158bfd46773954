"""Access: what each route needs, and whether the credential of a request has it."""

import contextlib
import http
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from flask import Flask, current_app, g, redirect, request, url_for
from flask_wtf.csrf import generate_csrf, validate_csrf  # type: ignore[import-untyped] # flask-wtf is not typed
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse
from wtforms.validators import ValidationError

from common.credentials import FIRST_TOKEN
from common.errors import CredentialError, JournalError
from common.event import TRADE_FIELDS
from common.hosts import SAFE_METHODS
from webapp.clients import is_forwarded
from webapp.credentials import ANYONE, Caller
from webapp.input.form import FORM_BYTES
from webapp.input.json_body import receive
from webapp.middleware.problems import answer_problem, prefers_html, reject
from webapp.middleware.sessions import find_sign_in, keep_session
from webapp.services import services

OPEN: Final = "open"
"""What a route needs that anyone may call, also while the server is locked."""

PATH: Final = "path"
"""What a route needs whose path has the token; it finds the caller itself."""

_SCHEME: Final = "bearer "
_FORM: Final = "application/x-www-form-urlencoded"
_FORBIDDEN: Final = frozenset({"scope", "csrf", "forwarded"})

View = TypeVar("View", bound=Callable[..., Any])


def needs(scope: str) -> Callable[[View], View]:
    """Declare what a route needs: a scope, OPEN or PATH; a route without a declaration rejects every request."""

    def declare(view: View) -> View:
        vars(view)["needs"] = scope
        return view

    return declare


def find_need(app: Flask, endpoint: str) -> str | None:
    """Return what a route needs; None when it does not say so."""
    need: str | None = vars(app.view_functions[endpoint]).get("needs")
    return need


def current_caller() -> Caller:
    """Return who sends this request. Raises CredentialError without a valid credential, and JournalError."""
    if "caller" not in g:
        g.caller = _identify()
    caller: Caller = g.caller
    return caller


def _identify() -> Caller:
    sign_in = find_sign_in()
    caller = services().credentials.identify(read_bearer(request.headers.get("Authorization")), sign_in)
    if sign_in is not None and caller.kind == "user":
        keep_session(sign_in)
    return _check_proxy(caller)


def read_bearer(given: str | None) -> str | None:
    """Return the token of an Authorization header, "" when it has none; None without the header."""
    if given is None:
        return None
    # Other schemes are no token.
    return given[len(_SCHEME) :].strip() if given[: len(_SCHEME)].lower() == _SCHEME else ""


def _check_proxy(caller: Caller) -> Caller:
    """Return the caller, unless it is anyone in the world behind a proxy. Raises CredentialError."""
    if caller is ANYONE and services().credentials.is_waiting() and is_forwarded(request):
        detail = (
            "This request came through a proxy, and no token was made yet, so anyone could send it."
            f" Make the first one: {FIRST_TOKEN}"
        )
        raise CredentialError("forwarded", detail)
    return caller


def find_hook(text: str) -> Caller | None:
    """Find the caller with the token of a hook's path, and let it be this request's; None when there is none.

    ``open`` is a token while the server is open. Raises CredentialError and JournalError.
    """
    credentials = services().credentials
    if text == "open" and credentials.is_open():
        found: Caller | None = _check_proxy(ANYONE)
    else:
        found = credentials.find_hook(text)
    if found is None:
        count_failure("token_unknown")
    else:
        g.caller = found
    return found


def watch_caller(need: str) -> Callable[[], bool]:
    """Return a function that returns whether the credential of this request still has ``need``, for long answers."""
    credentials, text = services().credentials, read_bearer(request.headers.get("Authorization"))
    sign_in = find_sign_in()

    def may_go_on() -> bool:
        try:
            return need in credentials.identify(text, sign_in).scopes
        except (CredentialError, JournalError):
            return False

    return may_go_on


def has_token() -> bool:
    """Return whether this request has a valid token. Raises JournalError."""
    try:
        return "Authorization" in request.headers and current_caller().kind == "token"
    except CredentialError:
        return False


def _check() -> None:
    # What no route answers is not protected; a preflight has no credentials, and is answered without any data.
    if request.endpoint is None or request.method == "OPTIONS":
        return
    need = find_need(current_app, request.endpoint)
    if need in {OPEN, PATH}:
        return
    caller = current_caller()
    if need not in caller.scopes:
        has = ", ".join(sorted(caller.scopes))
        raise CredentialError("scope", f"{caller.name or 'Anyone'} may {has}; this needs {need}")
    # A form has its token in a field, which the form checks.
    if caller.kind == "user" and request.method not in SAFE_METHODS and request.mimetype != _FORM:
        try:
            validate_csrf(request.headers.get("X-CSRFToken"))
        except ValidationError as error:
            detail = "With a session, expected a header X-CSRFToken with the csrf_token of a form"
            raise CredentialError("csrf", detail) from error
        # Forms then do not look for a token of their own.
        g.csrf_valid = True


def count_failure(reason: str) -> None:
    """Count a request that was rejected for its credential."""
    services().metrics.auth_failures.labels(reason).inc()


def _answer(error: CredentialError) -> BaseResponse:
    count_failure(error.reason)
    if error.reason in _FORBIDDEN:
        return answer_problem(http.HTTPStatus.FORBIDDEN, error.reason, error.detail)
    if prefers_html():
        reject(error.reason)
        return redirect(url_for("sign_in.show_form", next=_find_wanted()), http.HTTPStatus.SEE_OTHER)
    response = answer_problem(http.HTTPStatus.UNAUTHORIZED, error.reason, error.detail)
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _find_wanted() -> str | None:
    """Return the path to go on to after the sign-in: what was wanted, or the desk with the form that was sent."""
    if request.method in SAFE_METHODS:
        return request.full_path.removesuffix("?")
    if request.endpoint != "trades.accept_trade" or request.mimetype != _FORM:
        return None
    # The browser is asked to sign in, also when its form cannot be received.
    with contextlib.suppress(HTTPException):
        receive(request, FORM_BYTES)
        typed = {name: text for name, text in request.form.items() if text and name in TRADE_FIELDS}
        return f"/?{urlencode(typed)}"
    return None


def init_app(app: Flask) -> None:
    """Reject the requests whose credential does not have what their route needs."""
    needs(OPEN)(app.view_functions["static"])
    app.before_request(_check)
    app.register_error_handler(CredentialError, _answer)
    app.context_processor(lambda: {"caller": g.get("caller"), "csrf_token": generate_csrf})

"""Sessions: Flask's signed cookies, for the tokens of forms and for users who have signed in."""

import secrets
import time
from typing import Final

from flask import Flask, Request, Response, current_app, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadSignature, URLSafeSerializer
from werkzeug.wrappers import Response as BaseResponse

from webapp.credentials import SignIn

SEEN_SECONDS: Final = 60.0
"""How often the cookie of a session in use is sent again, with the time of the last request."""

DEVICE_COOKIE: Final = "sign_in_device"
"""Names a browser that a user has signed in with: others who guess the user's password do not make it wait."""

DEVICE_SECONDS: Final = 365 * 24 * 3600

_KEY: Final = "sign_in"


class CookieSessions(SecureCookieSessionInterface):
    """Flask's sessions, without preparing a signer for requests that have no cookie, such as those of bots."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session of the request's cookie, or an empty one without a cookie."""
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Save the session, unless it is an empty one that nothing has used."""
        if session or session.modified or session.accessed:
            super().save_session(app, session, response)

    def get_cookie_path(self, app: Flask) -> str:
        """Return the path under which the browser sees the application."""
        return request.script_root or super().get_cookie_path(app)

    def get_cookie_secure(self, app: Flask) -> bool:
        """Return whether the cookie is for TLS only: when the browser has come by TLS."""
        return request.is_secure or super().get_cookie_secure(app)


def find_sign_in() -> SignIn | None:
    """Return the sign-in of this request's session, None without one."""
    # Without a cookie it is empty, and need not be saved if nothing asks for it.
    found = session.get(_KEY) if request.cookies else None
    return None if found is None else SignIn(*found)


def begin_session(sign_in: SignIn) -> None:
    """Begin a new session, of which nothing was known before."""
    session.clear()
    session[_KEY] = list(sign_in)


def keep_session(sign_in: SignIn) -> None:
    """Note that a session is in use, at most every SEEN_SECONDS."""
    at = time.time()
    if at - sign_in.seen_at >= SEEN_SECONDS:
        session[_KEY] = list(sign_in._replace(seen_at=at))


def end_session() -> None:
    """Forget the session."""
    session.clear()


def find_device(name: str) -> str | None:
    """Return the id of the browser if this user has signed in with it before, None otherwise."""
    try:
        user, device = _make_signer().loads(request.cookies.get(DEVICE_COOKIE, ""))
    except (BadSignature, TypeError, ValueError):
        return None
    return str(device) if user == name else None


def keep_device(response: BaseResponse, name: str) -> BaseResponse:
    """Let the browser of a response be known as one of this user's."""
    interface = current_app.session_interface
    response.set_cookie(
        DEVICE_COOKIE,
        str(_make_signer().dumps([name, find_device(name) or secrets.token_hex(8)])),
        max_age=DEVICE_SECONDS,
        path=interface.get_cookie_path(current_app),
        secure=interface.get_cookie_secure(current_app),
        httponly=True,
        samesite="Strict",
    )
    return response


def _make_signer() -> URLSafeSerializer:
    return URLSafeSerializer(current_app.config["SECRET_KEY"], salt="device")

"""Sessions: Flask's signed cookies, used only by the trade form."""

from flask import Flask, Request, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface


class CookieSessions(SecureCookieSessionInterface):
    """Flask's sessions, without preparing a signer for requests that have no cookie, such as those of bots."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session of the request's cookie, or an empty one without a cookie."""
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)

    def get_cookie_path(self, app: Flask) -> str:
        """Return the path under which the browser sees the application."""
        return request.script_root or super().get_cookie_path(app)

    def get_cookie_secure(self, app: Flask) -> bool:
        """Return whether the cookie is for TLS only: when the browser has come by TLS."""
        return request.is_secure or super().get_cookie_secure(app)

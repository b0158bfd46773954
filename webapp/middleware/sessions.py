"""Sessions: Flask's signed cookies, which only the page's form needs."""

from flask import Flask, Request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface


class CookieSessions(SecureCookieSessionInterface):
    """Flask's own sessions, without making ready to check a cookie that did not come: bots send none."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Give the session of the request's cookie, an empty one without."""
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)

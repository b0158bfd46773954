"""Checks of Host and Origin, by the rule in ``common.hosts``."""

import http
from typing import Final

from flask import Flask, Response, request

from common.hosts import HostRule, RequestRejectedError
from common.settings import Settings
from webapp.middleware.auth import has_token
from webapp.middleware.problems import answer_problem

ANY_NAME: Final = frozenset({"/healthz", "/readyz"})
"""Routes without the check of Host: proxies and orchestrators use any name for a worker, and these show no data."""

_STATUS = {"host": http.HTTPStatus.BAD_REQUEST, "origin": http.HTTPStatus.FORBIDDEN}


def make_rule(settings: Settings) -> HostRule:
    """Make the rule of this server."""
    return HostRule(settings.webapp_http_host, settings.allowed_hosts, settings.webapp_cors_origins)


def init_app(app: Flask) -> None:
    """Reject requests with a Host that is not allowed, and writes from an Origin that is not allowed."""
    rule = make_rule(app.config["SETTINGS"])

    def check() -> Response | None:
        environ = request.environ
        host = environ.get("HTTP_HOST")
        try:
            # No foreign page can send a token.
            if request.path not in ANY_NAME and not has_token():
                rule.check_host(host, environ.get("RAW_URI"), environ.get("SERVER_PROTOCOL", ""))
            rule.check_origin(request.method, environ.get("HTTP_ORIGIN"), host)
        except RequestRejectedError as error:
            return answer_problem(_STATUS[error.reason], error.reason, error.detail)
        return None

    app.before_request(check)

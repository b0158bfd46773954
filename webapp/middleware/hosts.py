"""Which names this server answers to, and which pages may write to it; the rule is ``common.hosts``."""

import http
from typing import Final

from flask import Flask, Response, request

from common.hosts import HostRule, RequestRejectedError
from common.settings import Settings
from webapp.middleware.problems import answer_problem

ANY_NAME: Final = frozenset({"/healthz", "/readyz"})
"""Health checks come under whatever name a proxy or an orchestrator has for a worker; they show nothing."""

_STATUS = {"host": http.HTTPStatus.BAD_REQUEST, "origin": http.HTTPStatus.FORBIDDEN}


def init_app(app: Flask) -> None:
    """Reject requests under a foreign name, and writes by foreign pages."""
    settings: Settings = app.config["SETTINGS"]
    rule = HostRule(settings.webapp_http_host, settings.allowed_hosts, settings.webapp_cors_origins)

    def check() -> Response | None:
        environ = request.environ
        host = environ.get("HTTP_HOST")
        try:
            # A request that proves itself by a token may join those that pass here: no page can send one.
            if request.path not in ANY_NAME:
                rule.check_host(host, environ.get("RAW_URI"), environ.get("SERVER_PROTOCOL", ""))
            rule.check_origin(request.method, environ.get("HTTP_ORIGIN"), host)
        except RequestRejectedError as error:
            return answer_problem(_STATUS[error.reason], error.reason, error.detail)
        return None

    app.before_request(check)

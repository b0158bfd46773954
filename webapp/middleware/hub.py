"""Hubs: the web process over a hub's journal shows the trades of hosts, and rejects each write of a trade."""

import http
from typing import Final

from flask import Flask, Response, current_app, request

from common.credentials import WRITE
from common.errors import HubError
from webapp.middleware.auth import PATH, find_need
from webapp.middleware.problems import answer_problem
from webapp.services import services

DETAIL: Final = "This is a hub: it shows the trades of its hosts. Send the trade to a host."


def _check() -> Response | None:
    # The journal decides again in the transaction that would write; here, what is malformed gets the same answer.
    if request.endpoint is None or request.method == "OPTIONS":
        return None
    if find_need(current_app, request.endpoint) in {WRITE, PATH} and services().is_hub():
        return _answer(HubError("hub", DETAIL))
    return None


def _answer(error: HubError) -> Response:
    return answer_problem(http.HTTPStatus.FORBIDDEN, error.reason, DETAIL)


def init_app(app: Flask) -> None:
    """Reject the writes of trades while the journal is that of a hub."""
    app.before_request(_check)
    app.register_error_handler(HubError, _answer)

"""Rate limits: of writes by token or address, and of attempts to sign in by address; clients on loopback have none."""

import http
import math
from typing import Final

from flask import Flask, Response, g, request

from common.hosts import SAFE_METHODS
from webapp.clients import find_site
from webapp.credentials import ANYONE, Caller
from webapp.middleware.problems import answer_problem
from webapp.services import Services, services

SIGN_IN: Final = "/sign-in"


def _check() -> Response | None:
    if request.method in SAFE_METHODS:
        return None
    site = find_site(request.remote_addr or "")
    if site is None:
        return None
    if request.path == SIGN_IN:
        who, wait = "Your address", services().sign_in_limit.take(site)
    else:
        # Set by the check of access, where the route needs one.
        caller: Caller = g.get("caller", ANYONE)
        who = f"The token {caller.name}" if caller.kind == "token" else "Your address"
        wait = take_write(services(), site, caller)
    if not wait:
        return None
    seconds = math.ceil(wait)
    detail = f"{who} has sent too many requests; try again after {seconds} s"
    response = answer_problem(http.HTTPStatus.TOO_MANY_REQUESTS, "rate_limit", detail)
    response.headers["Retry-After"] = str(seconds)
    return response


def take_write(mine: Services, site: str, caller: Caller) -> float:
    """Count a write of a caller at a site; return 0 when it is allowed, otherwise the seconds until the next one is."""
    return mine.write_limit.take(_name_writer(site, caller))


def may_write(mine: Services, site: str, caller: Caller) -> bool:
    """Return whether ``take_write`` would allow a write now; nothing is counted."""
    return not mine.write_limit.find_wait(_name_writer(site, caller))


def _name_writer(site: str, caller: Caller) -> str:
    return f"token {caller.id}" if caller.kind == "token" else site


def init_app(app: Flask) -> None:
    """Reject the writes and the attempts to sign in that are above the limits."""
    app.before_request(_check)

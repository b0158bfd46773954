"""Signing in and out: pages for people, which work without scripts."""

import http
import math
import re
from functools import partial
from typing import Final

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask_wtf import FlaskForm  # type: ignore[import-untyped]
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.wrappers import Response as BaseResponse
from wtforms import HiddenField, PasswordField, StringField

from common.credentials import SESSION
from common.errors import CredentialError
from common.passwords import is_password
from webapp.clients import find_site
from webapp.concurrency import run_in_threadpool
from webapp.description import PAGE, Answer, Content, Description
from webapp.input.encoding import check_encoding
from webapp.input.form import FORM_BYTES
from webapp.input.json_body import receive
from webapp.middleware.auth import OPEN, count_failure, current_caller, needs
from webapp.middleware.problems import reject
from webapp.middleware.sessions import begin_session, end_session, find_device, find_sign_in, keep_device
from webapp.services import services

QUEUE_SECONDS: Final = 5.0
"""How long a sign-in waits for those before it."""

# A path of this server: two slashes, or a backslash, would begin the name of another one.
_LOCAL: Final = re.compile(r"/(?![/\\])[!-~]{0,2000}")

bp = Blueprint("sign_in", __name__)


class SignInForm(FlaskForm):  # type: ignore[misc] # flask-wtf is not typed
    """The form of a sign-in; ``next`` is the path that was wanted."""

    username = StringField("Name")
    password = PasswordField("Password")
    next = HiddenField()


class SignOutForm(FlaskForm):  # type: ignore[misc] # flask-wtf is not typed
    """The button in the header: a token against requests of other pages, and nothing else."""


@bp.get("/sign-in")
@needs(OPEN)
@Description(
    answers={
        200: Answer("The form", (PAGE,)),
        303: Answer("Who has access already is sent on", (PAGE,)),
    },
    problems=("journal",),
)
def show_form() -> BaseResponse:
    """Show the form; who has access already goes on to the page that was wanted."""
    form = SignInForm(formdata=None, next=request.args.get("next"))
    credentials, sign_in = services().credentials, find_sign_in()
    if credentials.is_open():
        return _go_on(form)
    if sign_in is None:
        return _render(form, http.HTTPStatus.OK)
    try:
        credentials.find_user(sign_in)
    except CredentialError:
        return _render(form, http.HTTPStatus.OK, "Your session has ended. Sign in to go on.")
    return _go_on(form)


@bp.post("/sign-in")
@needs(OPEN)
@Description(
    body=(Content("application/x-www-form-urlencoded", dict[str, str], {"username": "ann", "password": "…"}),),
    answers={
        303: Answer("The session has begun: on to `next`", (PAGE,)),
        401: Answer("The name or the password is wrong: the form again", (PAGE,)),
        403: Answer("The form had no valid token: the form again, with one", (PAGE,)),
        429: Answer("There were too many failed attempts: the form again", (PAGE,)),
    },
    problems=("bad_request", "request_timeout", "too_large", "journal", "service_unavailable"),
)
def sign_in() -> BaseResponse:
    """Begin a session and go on to the page that was wanted, or show the form again with the reason."""
    check_encoding("form", receive(request, FORM_BYTES))
    form = SignInForm()
    if not form.validate():
        return _reject(form, http.HTTPStatus.FORBIDDEN, "csrf", "The form had expired, and was renewed. Sign in again.")
    mine, name = services(), form.username.data or ""
    who = f"{name} from {find_device(name) or _find_address()}"
    if not mine.password_slots.acquire(timeout=QUEUE_SECONDS):
        raise ServiceUnavailable("Too many people are signing in")
    try:
        wait = mine.attempts.begin(who)
        if wait > 0:
            seconds = math.ceil(wait)
            detail = f"There were too many attempts. Try again in {seconds} s."
            response = _reject(form, http.HTTPStatus.TOO_MANY_REQUESTS, "too_many_attempts", detail)
            response.headers["Retry-After"] = str(seconds)
            return response
        check = partial(is_password, form.password.data or "")
        begun = mine.credentials.sign_in(name, lambda hashed: run_in_threadpool(partial(check, hashed)))
    finally:
        mine.password_slots.release()
    if begun is None:
        response = _reject(form, http.HTTPStatus.UNAUTHORIZED, "password", "The name or the password is wrong.")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response
    mine.attempts.succeed(who)
    begin_session(begun)
    return keep_device(_go_on(form), name)


@bp.post("/sign-out")
@needs(SESSION)
@Description(
    body=(Content("application/x-www-form-urlencoded", dict[str, str], {"csrf_token": "of the button"}),),
    answers={303: Answer("The sessions have ended", (PAGE,))},
    problems=("bad_request", "request_timeout", "too_large"),
)
def sign_out() -> BaseResponse:
    """End all sessions of the user, on other devices too: a copy of the cookie must not outlive its session."""
    check_encoding("form", receive(request, FORM_BYTES))
    caller = current_caller()
    if caller.kind == "user":
        if not SignOutForm().validate():
            raise CredentialError("csrf", "The button had expired: open the desk again, and sign out there")
        services().credentials.sign_out(caller.name)
        end_session()
    return redirect(url_for("sign_in.show_form"), http.HTTPStatus.SEE_OTHER)


def _find_address() -> str:
    return find_site(request.remote_addr or "") or "this machine"


def _go_on(form: SignInForm) -> BaseResponse:
    wanted = form.next.data or ""
    local = request.script_root + wanted if _LOCAL.fullmatch(wanted) else url_for("desk.show_desk")
    return redirect(local, http.HTTPStatus.SEE_OTHER)


def _reject(form: SignInForm, status: http.HTTPStatus, reason: str, problem: str) -> Response:
    count_failure(reason)
    reject(reason)
    return _render(form, status, problem)


def _render(form: SignInForm, status: http.HTTPStatus, *problems: str) -> Response:
    return make_response(render_template("sign_in/index.html", form=form, problems=problems), status)

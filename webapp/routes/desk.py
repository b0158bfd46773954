"""The desk: a page with the trade form and the newest trades."""

import http

from flask import Blueprint, Response, current_app

from common.credentials import READ
from webapp.description import PAGE, Answer, Content, Description
from webapp.middleware.auth import needs
from webapp.routes.trade_form import make_form, render_desk

bp = Blueprint("desk", __name__)


@bp.get("/")
@needs(READ)
@Description(answers={200: Answer("The page", (PAGE,))})
def show_desk() -> Response:
    """Show the form and the newest trades."""
    return render_desk(make_form(), http.HTTPStatus.OK)


@bp.get("/favicon.ico")
@needs(READ)
@Description(
    answers={200: Answer("The icon", (Content("image/svg+xml"),)), 304: Answer("It is the one that the client has")}
)
def send_icon() -> Response:
    """Send the icon where browsers look for it when a page names none, such as JSON."""
    return current_app.send_static_file("icon.svg")

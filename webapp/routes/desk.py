"""The desk: a page with the trade form and the newest trades."""

import http

from flask import Blueprint, Response

from webapp.input.form import TradeForm
from webapp.routes.trade_form import render_desk

bp = Blueprint("desk", __name__)


@bp.get("/")
def show_desk() -> Response:
    """Show an empty form and the newest trades."""
    return render_desk(TradeForm(formdata=None), http.HTTPStatus.OK)

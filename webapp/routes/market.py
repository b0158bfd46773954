"""The market: a summary of the journal over a window."""

from flask import Blueprint, Response, request

from common.credentials import READ
from webapp.input.query import read_market
from webapp.middleware.auth import needs
from webapp.services import services

bp = Blueprint("market", __name__)


@bp.get("/market")
@needs(READ)
def show_market() -> Response:
    """Show the totals of a window by symbol, and the bars of one symbol."""
    return Response(services().summaries.get(**read_market(request.args)), content_type="application/json")

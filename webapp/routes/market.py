"""The market: a summary of the journal over a window."""

from decimal import Decimal
from typing import Final

from flask import Blueprint, Response, request

from common.credentials import READ
from common.journal.summaries import Bar, Summary, SymbolSummary
from webapp.description import JSON, Answer, Content, Description
from webapp.input.query import MarketSchema, read_market
from webapp.middleware.auth import needs
from webapp.reasons import QUERY
from webapp.services import services

bp = Blueprint("market", __name__)


_EXAMPLE: Final = Summary(
    since="2026-01-31T09:15:00.000000Z",
    last_seq=1097,
    complete=True,
    symbols=[
        SymbolSummary(
            "ETHUSDT",
            "USDT",
            331,
            172,
            Decimal("6320111.2"),
            Decimal("556.4"),
            Decimal("12161500.7"),
            last_price="21838.46",
        )
    ],
    symbol="ETHUSDT",
    step=5,
    bars=[Bar(1769851800, 21955.1, 22010.3, 21880.0, 21891.2, 31.5, 17.2, 19)],
)


@bp.get("/market")
@needs(READ)
@Description(
    query=MarketSchema,
    answers={200: Answer("The totals and bars of the window", (Content(JSON, Summary, _EXAMPLE),))},
    problems=(*QUERY, "journal"),
)
def show_market() -> Response:
    """Show the totals of a window by symbol, and the bars of one symbol."""
    return Response(services().summaries.get(**read_market(request.args)), content_type="application/json")

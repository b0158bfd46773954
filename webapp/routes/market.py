"""The market: a summary of the journal over a window, the bars of one symbol, and a search for symbols."""

from decimal import Decimal
from typing import Final

from flask import Blueprint, Response, request

from common.credentials import READ
from common.journal.bars import Bar, Wanted
from common.journal.summaries import SymbolSummary
from webapp.description import JSON, Answer, Content, Description
from webapp.input.query import BarsSchema, MarketSchema, SymbolsSchema, read_bars, read_market, read_symbols
from webapp.middleware.auth import needs
from webapp.reasons import QUERY
from webapp.services import services
from webapp.summaries import Chart, ChartBar, Summary
from webapp.symbols import FoundSymbol, FoundSymbols

bp = Blueprint("market", __name__)


_PRICES: Final = (Decimal("21955.1"), Decimal("22010.3"), Decimal("21880.0"), Decimal("21891.2"))

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
            last_at="2026-01-31T09:29:58.123456Z",
        )
    ],
    symbol="ETHUSDT",
    step=5,
    bars=[Bar(1769851800, *_PRICES, Decimal("31.5"), Decimal("17.2"), 19)],
)

_CHART: Final = Chart(
    "ETHUSDT",
    "accepted_at",
    5,
    1769850900,
    1769851805,
    "2026-01-31T09:30:03.123456Z",
    1097,
    complete=True,
    bars=[ChartBar(1769851800, "21955.10", "22010.30", "21880.00", "21891.20", "31.50", "17.20", 19)],
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


@bp.get("/market/bars")
@needs(READ)
@Description(
    query=BarsSchema,
    answers={200: Answer("The bars of the window", (Content(JSON, Chart, _CHART),))},
    problems=(*QUERY, "journal"),
)
def show_bars() -> Response:
    """Show one symbol's bars of the newest window that has trades, up to now or ``until``."""
    wanted = read_bars(request.args)
    names = ("symbol", "time", "step", "window", "until")
    body = services().summaries.get_bars(Wanted(*(wanted[name] for name in names)))
    return Response(body, content_type="application/json")


_FOUND: Final = FoundSymbols([FoundSymbol("ETHUSDT", "USDT", "21838.46", "2026-01-31T09:29:58.123456Z")], complete=True)


@bp.get("/market/symbols")
@needs(READ)
@Description(
    query=SymbolsSchema,
    answers={200: Answer("The symbols that contain the text", (Content(JSON, FoundSymbols, _FOUND),))},
    problems=(*QUERY, "journal"),
)
def find_symbols() -> Response:
    """Find symbols by a part of their names, in any case: those with the newest trades first."""
    return Response(services().symbols.find(**read_symbols(request.args)), content_type="application/json")

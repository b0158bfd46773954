"""The positions: what is held of each symbol, with profit and loss, as a page, as JSON and as CSV."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from flask import Blueprint, Response, make_response, render_template

from common.credentials import READ
from common.csv_cells import mark
from common.positions import PositionRow, PositionsAnswer, SourceRow
from common.tally import EXACT, write_sum
from common.timestamps import now
from webapp.description import JSON, PAGE, Answer, Content, Description
from webapp.middleware.auth import needs
from webapp.middleware.problems import answer_problem, prefers_html
from webapp.positions import Unavailable
from webapp.services import services

ALL_SOURCES: Final = "*"
"""The source of a row over all sources in the CSV: no source has this name."""

_COLUMNS: Final = PositionRow.__struct_fields__
_TEXTS: Final = {"symbol", "source", "quote"}
_EXAMPLE: Final = PositionsAnswer(
    [PositionRow("BTCUSDT", None, "USDT", "0.25", "27123.45", "12.5", "-3.1125", "0.04", "27111")],
    overflow=0,
    after_seq=0,
    since="2026-01-31T09:30:00.031245Z",
    last_seq=42,
    sources=[SourceRow("grid-bot", 3, 2, "2026-01-31T09:30:00.031245Z", "2026-01-31T09:41:12.000000Z", 600)],
)
_PROBLEMS: Final = ("positions_off", "sidecar_unreachable")

bp = Blueprint("positions", __name__)


class SymbolRows(NamedTuple):
    """The row of a symbol over all sources, and those by source: none when a single one has traded it."""

    total: PositionRow
    source: str | None
    parts: Sequence[PositionRow]


class Money(NamedTuple):
    """What the rows over all sources add up to in one quote currency."""

    quote: str
    realized_pnl: str
    unrealized_pnl: str
    fees: str


@bp.get("/positions")
@needs(READ)
@Description(
    answers={200: Answer("Every position", (Content(JSON, PositionsAnswer, _EXAMPLE), PAGE))},
    problems=_PROBLEMS,
)
def show_positions() -> Response:
    """Show what is held of each symbol, over all sources and by source: a page for browsers, else JSON."""
    found = services().positions.get()
    if isinstance(found, Unavailable):
        return answer_problem(*found)
    if prefers_html():
        answer = found.answer
        page = render_template(
            "positions/index.html",
            answer=answer,
            symbols=list(_group(answer.positions)),
            money_by_quote=list(_add_up(answer.positions)),
            silences={row.source: _measure_silence(row) for row in answer.sources},
        )
        response = make_response(page)
    else:
        response = Response(found.body, content_type=JSON)
    response.vary.add("Accept")
    return response


@bp.get("/positions.csv")
@needs(READ)
@Description(
    answers={
        200: Answer(
            "One line for each position", (Content("text/csv"),), {"Content-Disposition": "The name of the file"}
        )
    },
    problems=_PROBLEMS,
)
def send_positions() -> Response:
    """Send every position as CSV; the source of a row over all of them is `*`."""
    found = services().positions.get()
    if isinstance(found, Unavailable):
        return answer_problem(*found)
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(_COLUMNS)
    rows.writerows([_write_cell(row, name) for name in _COLUMNS] for row in found.answer.positions)
    headers = {"Content-Disposition": 'attachment; filename="positions.csv"'}
    return Response(text.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)


def _write_cell(row: PositionRow, name: str) -> str:
    value: str | None = getattr(row, name)
    if name == "source" and value is None:
        return ALL_SOURCES
    # A number below 0 is no formula, and has to stay a number.
    return mark(value or "") if name in _TEXTS else value or ""


def _group(rows: Iterable[PositionRow]) -> Iterator[SymbolRows]:
    by_symbol: dict[str, list[PositionRow]] = {}
    for row in rows:
        by_symbol.setdefault(row.symbol, []).append(row)
    for total, *parts in by_symbol.values():
        only = parts[0].source if len(parts) == 1 else None
        yield SymbolRows(total, only, parts if only is None else ())


def _add_up(rows: Iterable[PositionRow]) -> Iterator[Money]:
    sums: dict[str, list[Decimal]] = {}
    for row in rows:
        if row.source is None:
            added = sums.setdefault(row.quote, [Decimal(0)] * 3)
            for column, text in enumerate((row.realized_pnl, row.unrealized_pnl, row.fees)):
                added[column] = EXACT.add(added[column], Decimal(text or 0))
    return (Money(quote, *map(write_sum, added)) for quote, added in sorted(sums.items()))


def _measure_silence(row: SourceRow) -> float | None:
    """Return for how many seconds a source has been silent, None when it never traded."""
    if row.last_seen is None:
        return None
    return max(0.0, (now() - datetime.fromisoformat(row.last_seen)).total_seconds())

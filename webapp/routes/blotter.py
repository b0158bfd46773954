"""The blotter: accepted trades, filtered, as pages and as downloads."""

import contextlib
import csv
import http
import io
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from flask import Blueprint, Response, make_response, render_template, request, url_for
from marshmallow import ValidationError

from common.credentials import READ
from common.csv_cells import mark
from common.event import SIDES, TRADE_FIELDS, Event
from common.journal.store import FILTERS, Journal
from common.timestamps import format_timestamp, now
from common.wire import messages
from webapp.description import JSON, PAGE, Answer, Content, Description
from webapp.examples import ACCEPTED
from webapp.filter_totals import total_quotes
from webapp.input.query import BLOTTER_FILTERS, BlotterSchema, explain_blotter, read_blotter
from webapp.middleware.auth import needs
from webapp.middleware.problems import answer_problem, reject
from webapp.reasons import QUERY
from webapp.search import TOTALLED
from webapp.services import DOWNLOADS_LIMIT, services

CHUNK: Final = 500

SUGGESTED_FROM: Final = 10_000
"""The newest trades whose symbols and sources are suggested."""

SUGGESTIONS: Final = 500

PRESETS: Final[dict[str, Callable[[datetime], dict[str, str]]]] = {
    "15 min": lambda at: {"since": _cut(at - timedelta(minutes=15), 19)},
    "1 hour": lambda at: {"since": _cut(at - timedelta(hours=1), 19)},
    "Today": lambda at: {"since": _cut(at, 10)},
    "Yesterday": lambda at: {"since": _cut(at - timedelta(days=1), 10), "until": _cut(at, 10)},
    "7 days": lambda at: {"since": _cut(at - timedelta(days=7), 10)},
    "All": lambda _: {},
}
"""Windows up to now, by their names on the page."""

COLUMNS: Final = ("seq", "id", "accepted_at", *TRADE_FIELDS)
HOST_COLUMNS: Final = ("host_journal_id", "host_seq")
"""Further columns of a hub."""

_FILE: Final = {"Content-Disposition": "The name of the file"}
_DOWNLOAD_PROBLEMS: Final = (*QUERY, "downloads_limit", "journal")

bp = Blueprint("blotter", __name__)


@bp.get("/blotter")
@needs(READ)
@Description(
    query=BlotterSchema,
    answers={
        200: Answer("The page", (PAGE,)),
        422: Answer("The page, with a message at each filter that is not accepted", (PAGE,)),
    },
    problems=("bad_request", "journal"),
)
def show_blotter() -> Response:
    """Show the newest trades that match the filters, with a link to older ones."""
    status, errors, events, wanted = http.HTTPStatus.OK, {}, list[Event](), dict[str, Any]()
    try:
        wanted = read_blotter(request.args)
    except ValidationError as error:
        reject("invalid")
        status, errors = http.HTTPStatus.UNPROCESSABLE_ENTITY, explain_blotter(error, request.args)
    else:
        events = services().search.select(**{**wanted, "limit": wanted["limit"] + 1})[::-1]
    older = events[wanted["limit"] - 1].seq if wanted and len(events) > wanted["limit"] else None
    # Only known filters: url_for treats some names as its own options.
    filters = {name: request.args[name] for name in BLOTTER_FILTERS if request.args.get(name)}
    totals, is_complete = services().search.total(**_choose(wanted)) if wanted else ({}, True)
    at = now()
    page = render_template(
        "blotter/index.html",
        totals=total_quotes(totals, services().settings.quote_currencies),
        is_complete=is_complete,
        totalled=TOTALLED,
        suggested=services().reader.ask(_suggest),
        presets={name: write(at) for name, write in PRESETS.items()},
        picked={name: _write_picked(wanted.get(name) or wanted.get(f"ts_{name}")) for name in ("since", "until")},
        today=format_timestamp(at)[:10],
        is_live="before" not in request.args and not request.args.get("until") and not errors,
        events=events[: wanted.get("limit")],
        errors=errors,
        filters=filters,
        sides=SIDES,
        hosts=_name_hosts() if services().is_hub() else None,
        older=url_for("blotter.show_blotter", **filters, before=older) if older else None,  # type: ignore[arg-type]
        newest=url_for("blotter.show_blotter", **filters) if "before" in request.args else None,  # type: ignore[arg-type]
    )
    return make_response(page, status)


@bp.get("/blotter.csv")
@needs(READ)
@Description(
    query=BlotterSchema,
    answers={200: Answer("One line for each trade", (Content("text/csv"),), _FILE)},
    problems=_DOWNLOAD_PROBLEMS,
)
def send_csv() -> Response:
    """Send the trades that match the filters, oldest first, as CSV."""
    columns = COLUMNS + HOST_COLUMNS if services().is_hub() else COLUMNS
    return _send(partial(_write_csv, columns), "text/csv; charset=utf-8", "csv")


@bp.get("/blotter.json")
@needs(READ)
@Description(
    query=BlotterSchema,
    answers={200: Answer("The trades", (Content(JSON, list[Event], [ACCEPTED]),), _FILE)},
    problems=_DOWNLOAD_PROBLEMS,
)
def send_json() -> Response:
    """Send the trades that match the filters, oldest first, as one JSON array."""
    return _send(_write_json, "application/json", "json")


def _cut(time: datetime, length: int) -> str:
    return format_timestamp(time)[:length]


def _choose(wanted: dict[str, Any]) -> dict[str, Any]:
    """Choose the filters of what is wanted."""
    return {name: wanted[name] for name in FILTERS if name in wanted}


def _suggest(journal: Journal) -> dict[str, list[str]]:
    """Return the symbols and the sources of the newest trades."""
    last = journal.last_seq()
    queries = {
        "symbol": "SELECT DISTINCT symbol FROM trades WHERE seq > ?",
        "source": "SELECT DISTINCT source FROM trades WHERE seq > ? AND source != ''",
    }
    return {
        name: sorted(row[0] for row in journal.query(query, last - SUGGESTED_FROM))[:SUGGESTIONS]
        for name, query in queries.items()
    }


def _write_picked(timestamp: str | None) -> str:
    """Write a time as a browser's picker takes it."""
    return (timestamp or "")[:23]


def _name_file(ending: str) -> str:
    """Name a download after its filters, in characters that every file system takes."""
    parts = [request.args[name] for name in BLOTTER_FILTERS if name not in {"time", "limit"} and request.args.get(name)]
    name = "-".join(["trades", *(re.sub(r"[^A-Za-z0-9._]+", "_", part)[:40] for part in parts)])
    return f"{name[:120]}.{ending}"


def _name_hosts() -> dict[str, str]:
    return {journal_id: name for name, journal_id in services().settings.relay_host_names.items()}


def _send(write: Callable[[Iterator[list[Event]]], Iterator[bytes]], kind: str, ending: str) -> Response:
    wanted = read_blotter(request.args)
    mine = services()
    if not mine.download_slots.acquire(blocking=False):
        mine.metrics.download_rejections.labels("limit").inc()
        detail = f"This worker is sending {DOWNLOADS_LIMIT} downloads, its limit. Try again in a moment."
        return answer_problem(http.HTTPStatus.SERVICE_UNAVAILABLE, "downloads_limit", detail)
    # The response may be closed more than once, the slot released only once.
    slot = contextlib.ExitStack()
    slot.callback(mine.download_slots.release)
    try:
        body = write(_read_chunks(wanted))
    except BaseException:
        slot.close()
        raise
    name = _name_file(ending)
    response = Response(body, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
    response.call_on_close(slot.close)
    return response


def _read_chunks(wanted: dict[str, Any]) -> Iterator[list[Event]]:
    # Trades accepted during the download are left out, or it might never end.
    end = services().reader.last_seq() + 1
    before = min(wanted["before"] or end, end)
    chunks = services().search.walk(CHUNK, before=before, **_choose(wanted))
    # Read before the response starts, so that a journal that cannot be read is still a 503.
    first = next(chunks, None)
    return itertools.chain([] if first is None else [first], chunks)


def _write_csv(columns: Sequence[str], chunks: Iterator[list[Event]]) -> Iterator[bytes]:
    yield (",".join(columns) + "\r\n").encode()
    for events in chunks:
        text = io.StringIO()
        csv.writer(text).writerows([_write_cell(getattr(event, name)) for name in columns] for event in events)
        yield text.getvalue().encode()


def _write_cell(value: str | int | None) -> str:
    return "" if value is None else mark(str(value))


def _write_json(chunks: Iterator[list[Event]]) -> Iterator[bytes]:
    separator = b"["
    for events in chunks:
        yield separator + b",\n".join(map(messages.encode, events))
        separator = b",\n"
    yield b"]\n" if separator != b"[" else b"[]\n"

"""The blotter: every accepted trade, filtered, page by page, and to take away."""

import contextlib
import csv
import http
import io
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from flask import Blueprint, Flask, Response, current_app, make_response, render_template, request, url_for
from marshmallow import ValidationError

from common.event import SIDES, Event
from common.process import PerProcess
from common.wire import messages
from webapp.input.query import BLOTTER_FILTERS, read_blotter
from webapp.input.schemas import read_messages
from webapp.middleware.problems import answer_problem, reject
from webapp.reader import current_reader
from webapp.search import current_search, look_up
from webapp.worker_metrics import current_metrics

CHUNK: Final = 500

DOWNLOADS_LIMIT: Final = 2
"""Downloads that one worker sends at once."""

COLUMNS: Final = ("seq", "id", "accepted_at", "ts", "symbol", "side", "price", "qty")

bp = Blueprint("blotter", __name__)


@bp.get("/blotter")
def show_blotter() -> Response:
    """Show the newest trades that the filters leave, and the way to older ones."""
    status, errors, events, wanted = http.HTTPStatus.OK, {}, list[Event](), dict[str, Any]()
    try:
        wanted = read_blotter(request.args)
    except ValidationError as error:
        reject("invalid")
        status, errors = http.HTTPStatus.UNPROCESSABLE_ENTITY, read_messages(error)
    else:
        events = look_up(**{**wanted, "limit": wanted["limit"] + 1})[::-1]
    older = events[wanted["limit"] - 1].seq if wanted and len(events) > wanted["limit"] else None
    # Only those: url_for takes some names for options of its own.
    filters = {name: request.args[name] for name in BLOTTER_FILTERS if request.args.get(name)}
    page = render_template(
        "blotter/index.html",
        events=events[: wanted.get("limit")],
        errors=errors,
        filters=filters,
        sides=SIDES,
        older=url_for("blotter.show_blotter", **filters, before=older) if older else None,  # type: ignore[arg-type]
        newest=url_for("blotter.show_blotter", **filters) if "before" in request.args else None,  # type: ignore[arg-type]
    )
    return make_response(page, status)


@bp.get("/blotter.csv")
def send_csv() -> Response:
    """Send the trades that the filters leave, oldest first, as CSV."""
    return _send(_write_csv, "text/csv; charset=utf-8", "trades.csv")


@bp.get("/blotter.json")
def send_json() -> Response:
    """Send the trades that the filters leave, oldest first, as one JSON array."""
    return _send(_write_json, "application/json", "trades.json")


def _send(write: Callable[[Iterator[list[Event]]], Iterator[bytes]], kind: str, name: str) -> Response:
    wanted = read_blotter(request.args)
    slots = cast("PerProcess[threading.Semaphore]", current_app.extensions["downloads"]).get()
    if not slots.acquire(blocking=False):
        current_metrics().count_download_rejection("limit")
        detail = f"This worker sends {DOWNLOADS_LIMIT} downloads, as many as it does at once. Try again in a moment."
        return answer_problem(http.HTTPStatus.SERVICE_UNAVAILABLE, "downloads_limit", detail)
    # The response may be closed more than once.
    slot = contextlib.ExitStack()
    slot.callback(slots.release)
    try:
        body = write(_walk(wanted))
    except BaseException:
        slot.close()
        raise
    response = Response(body, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
    response.call_on_close(slot.close)
    return response


def _walk(wanted: dict[str, Any]) -> Iterator[list[Event]]:
    # What is accepted while it is sent is not in it: it must have an end.
    end = current_reader().last_seq() + 1
    before = min(wanted["before"] or end, end)
    filters = {name: wanted[name] for name in ("symbol", "side", "since", "until")}
    chunks = current_search().walk(CHUNK, before=before, **filters)
    # Read before the answer begins, so that a journal that cannot be read is still a 503.
    first = next(chunks, None)
    return itertools.chain([] if first is None else [first], chunks)


def _write_csv(chunks: Iterator[list[Event]]) -> Iterator[bytes]:
    yield (",".join(COLUMNS) + "\r\n").encode()
    for events in chunks:
        text = io.StringIO()
        csv.writer(text).writerows([getattr(event, name) for name in COLUMNS] for event in events)
        yield text.getvalue().encode()


def _write_json(chunks: Iterator[list[Event]]) -> Iterator[bytes]:
    between = b"["
    for events in chunks:
        yield between + b",\n".join(map(messages.encode, events))
        between = b",\n"
    yield b"]\n" if between != b"[" else b"[]\n"


def init_app(app: Flask) -> None:
    """Give each worker its bound on downloads."""
    app.extensions["downloads"] = PerProcess(lambda: threading.BoundedSemaphore(DOWNLOADS_LIMIT))

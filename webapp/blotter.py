"""The blotter: every accepted trade, filtered, page by page, and to take away."""

import csv
import http
import io
from collections.abc import Iterator
from typing import Any, Final

from flask import Blueprint, Response, make_response, render_template, request, url_for
from marshmallow import ValidationError

from tape import wire
from tape.event import SIDES, Event
from tape.journal import Journal
from tape.summary import find_first
from webapp.ledger import Ledger, current_ledger
from webapp.problems import refuse
from webapp.queries import BLOTTER_FILTERS, read_blotter
from webapp.schemas import read_messages

CHUNK: Final = 1000
COLUMNS: Final = ("seq", "id", "accepted_at", "ts", "symbol", "side", "price", "qty")

bp = Blueprint("blotter", __name__)


@bp.get("/blotter")
def show_blotter() -> Response:
    """Show the newest trades that the filters leave, and the way to older ones."""
    status, errors, events, wanted = http.HTTPStatus.OK, {}, list[Event](), dict[str, Any]()
    try:
        wanted = read_blotter(request.args)
    except ValidationError as error:
        refuse("invalid")
        status, errors = http.HTTPStatus.UNPROCESSABLE_ENTITY, read_messages(error)
    else:
        events = list(reversed(_select(current_ledger(), wanted, wanted["limit"] + 1)))
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
    return _send(_write_csv(_walk()), "text/csv; charset=utf-8", "trades.csv")


@bp.get("/blotter.json")
def send_json() -> Response:
    """Send the trades that the filters leave, oldest first, as one JSON array."""
    return _send(_write_json(_walk()), "application/json", "trades.json")


def _send(body: Iterator[bytes], kind: str, name: str) -> Response:
    return Response(body, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _select(ledger: Ledger, wanted: dict[str, Any], limit: int, after: int | None = None) -> list[Event]:
    def select(journal: Journal) -> list[Event]:
        last_seq = journal.last_seq()
        since = find_first(journal, wanted["since"], last_seq) if wanted["since"] else 0
        until = find_first(journal, wanted["until"], last_seq) if wanted["until"] else last_seq + 1
        before = min(until, wanted["before"] or until)
        first = None if after is None else max(after, since - 1)
        found = journal.select(limit=limit, after=first, before=before, symbol=wanted["symbol"], side=wanted["side"])
        return [event for event in found if event.seq >= since]

    return ledger.ask(select)


def _walk() -> Iterator[list[Event]]:
    # Read before the answer begins, so that what is wrong with the filters can still be said.
    wanted, ledger = read_blotter(request.args), current_ledger()
    # What is accepted while it is sent is not in it: it must have an end.
    end = ledger.last_seq() + 1
    wanted["before"] = min(wanted["before"] or end, end)
    first = _select(ledger, wanted, CHUNK, 0)

    def walk() -> Iterator[list[Event]]:
        events = first
        while events:
            yield events
            events = _select(ledger, wanted, CHUNK, events[-1].seq)

    return walk()


def _write_csv(chunks: Iterator[list[Event]]) -> Iterator[bytes]:
    yield (",".join(COLUMNS) + "\r\n").encode()
    for events in chunks:
        text = io.StringIO()
        csv.writer(text).writerows([getattr(event, name) for name in COLUMNS] for event in events)
        yield text.getvalue().encode()


def _write_json(chunks: Iterator[list[Event]]) -> Iterator[bytes]:
    between = b"["
    for events in chunks:
        yield between + b",\n".join(map(wire.encode, events))
        between = b",\n"
    yield b"]\n" if between != b"[" else b"[]\n"

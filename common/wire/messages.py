"""ZeroMQ messages: how events and workers' totals are encoded and decoded (docs/wire.md).

A message has one frame: a line with its kind and version, then JSON: an array of events, or the totals of one worker.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import repeat
from typing import Annotated, Final

import msgspec

from common.errors import BadMessageError
from common.event import Event
from common.symbols import is_symbol
from common.wire.worker_totals import WorkerTotals

TRADES: Final = b"trades/1"
TOTALS: Final = b"totals/1"

BAD_MESSAGE_REASONS: Final = ("unauthorised", "crowded", "frames", "kind", "version", "body", "journal_id", "forgotten")
"""Why a peer or a message may be rejected, in the order it is checked.

``journal_id``: it is of another journal. ``forgotten``: it is from a worker that may have been counted before.
"""

EVENTS_MAX: Final = 250
"""Events in one message: the longest possible ones together stay below the receiver's limit."""


RequestId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{0,64}\Z")]


class Hint(Event, frozen=True, kw_only=True):
    """An event on its way to the sidecar, with the id of its request."""

    request_id: RequestId = ""


_hints = msgspec.json.Decoder(list[Hint])
_totals = msgspec.json.Decoder(WorkerTotals)


def encode(event: Event) -> bytes:
    """Write one event as JSON text, the form it has in every answer and on the wire."""
    return msgspec.json.encode(event)


def encode_page(events: Sequence[Event], following: int | None, journal_id: str, pruned_seq: int) -> bytes:
    """Write one page of trades; ``following`` is the value of ``after`` for the next page."""
    page = {"trades": events, "next": following, "journal_id": journal_id, "pruned_seq": pruned_seq}
    return msgspec.json.encode(page)


def encode_message(events: Sequence[Event], request_ids: Iterable[str] = repeat("")) -> list[bytes]:
    """Write up to EVENTS_MAX events, in ``seq`` order, as the hints of one message, each with its request's id."""
    # The id is put in place of an event's last brace: making a Hint of each event takes three times as long.
    hints = [
        b'%b,"request_id":%b}' % (msgspec.json.encode(event)[:-1], msgspec.json.encode(request_id))
        for event, request_id in zip(events, request_ids, strict=False)
    ]
    return [b"%b\n[%b]" % (TRADES, b",".join(hints))]


def encode_report(totals: WorkerTotals) -> list[bytes]:
    """Write the totals of one worker as the frame of one message."""
    return [TOTALS + b"\n" + msgspec.json.encode(totals)]


def decode_totals(body: bytes) -> WorkerTotals:
    """Read the totals of one worker. Raises BadMessageError."""
    try:
        totals = _totals.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessageError("body", str(error)) from error
    fault = totals.find_fault()
    if fault is not None:
        raise BadMessageError("body", f"totals of {totals.worker!r}: {fault}")
    return totals


def decode_message(frames: Sequence[bytes], journal_id: str) -> list[Hint] | WorkerTotals:
    """Read one message: the events of the journal named ``journal_id``, or the totals of one worker.

    Raises BadMessageError with one of BAD_MESSAGE_REASONS.
    """
    if len(frames) != 1:
        raise BadMessageError("frames", f"{len(frames)} frames; expected 1")
    kind, _, body = frames[0].partition(b"\n")
    if kind == TOTALS:
        return decode_totals(body)
    if kind != TRADES:
        reason = "version" if kind.startswith((b"trades/", b"totals/")) else "kind"
        raise BadMessageError(reason, f"first line {kind[:32]!r}; expected {TRADES!r} or {TOTALS!r}")
    try:
        events = _hints.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessageError("body", str(error)) from error
    for event in events:
        _check(event)
        if event.journal_id != journal_id:
            raise BadMessageError("journal_id", f"journal_id {event.journal_id[:64]!r}; expected {journal_id!r}")
    return events


def _check(event: Event) -> None:
    if not is_symbol(event.symbol):
        raise BadMessageError("body", f"seq {event.seq}: symbol {event.symbol!r} is not in its canonical form")
    # The pattern alone accepts a 13th month.
    try:
        datetime.fromisoformat(event.ts)
        datetime.fromisoformat(event.accepted_at)
    except ValueError as error:
        raise BadMessageError("body", f"seq {event.seq}: {error}") from error

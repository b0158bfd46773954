"""ZeroMQ messages: how events and workers' totals are encoded and decoded (docs/wire.md).

A message has one frame: a line with its kind and version, then JSON: an array of events, a range of them that the
sidecar reads from the journal, or the totals of one worker.
"""

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Final

import msgspec

from common.errors import BadMessageError
from common.event import Event, Seq
from common.timestamps import Timestamp, is_in_calendar
from common.wire.hints import Hint, RequestId, decode_bodies, decode_hints, reject_journal
from common.wire.worker_totals import WorkerTotals

TRADES: Final = b"trades/1"
RANGE: Final = b"range/1"
TOTALS: Final = b"totals/1"
_KINDS: Final = (b"trades/", b"range/", b"totals/")
_TRADES_LINE: Final = TRADES + b"\n"

BAD_MESSAGE_REASONS: Final = ("unauthorised", "crowded", "frames", "kind", "version", "body", "journal_id", "forgotten")
"""Why a peer or a message may be rejected, in the order it is checked.

``journal_id``: it is of another journal. ``forgotten``: it is from a worker that may have been counted before.
"""

EVENTS_MAX: Final = 100
"""Events in one message. A request with more is announced as a range: reading the journal costs less."""


class SeqRange(msgspec.Struct, frozen=True):
    """The events that one request wrote, from ``first_seq`` to ``last_seq``, which are read from the journal."""

    journal_id: str
    first_seq: Seq
    last_seq: Seq
    accepted_at: Timestamp
    request_id: RequestId = ""


Message = list[Hint] | SeqRange | WorkerTotals


_range = msgspec.json.Decoder(SeqRange)
_totals = msgspec.json.Decoder(WorkerTotals)


def encode(event: Event) -> bytes:
    """Write one event as JSON text, the form it has in every answer and on the wire."""
    return msgspec.json.encode(event)


def encode_message(events: Sequence[Event], request_ids: Iterable[str] = repeat("")) -> list[bytes]:
    """Write up to EVENTS_MAX events, in ``seq`` order, as the hints of one message, each with its request's id."""
    # The id is put in place of an event's last brace: making a Hint of each event takes three times as long.
    hints = [
        b'%b,"request_id":%b}' % (msgspec.json.encode(event)[:-1], msgspec.json.encode(request_id))
        for event, request_id in zip(events, request_ids, strict=False)
    ]
    return [b"%b\n[%b]" % (TRADES, b",".join(hints))]


def encode_range(written: SeqRange) -> list[bytes]:
    """Write the range of one request's events as the frame of one message."""
    return [RANGE + b"\n" + msgspec.json.encode(written)]


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


def decode_message(frames: Sequence[bytes], journal_id: str) -> Message:
    """Read one message: events or a range of the journal named ``journal_id``, or the totals of one worker.

    Raises BadMessageError with one of BAD_MESSAGE_REASONS.
    """
    if len(frames) != 1:
        raise BadMessageError("frames", f"{len(frames)} frames; expected 1")
    kind, _, body = frames[0].partition(b"\n")
    if kind == TOTALS:
        return decode_totals(body)
    if kind not in {TRADES, RANGE}:
        reason = "version" if kind.startswith(_KINDS) else "kind"
        raise BadMessageError(reason, f"first line {kind[:32]!r}; expected {TRADES!r}, {RANGE!r} or {TOTALS!r}")
    try:
        if kind == TRADES:
            return decode_hints(body, journal_id)
        found = _range.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessageError("body", str(error)) from error
    if not is_in_calendar(found.accepted_at):
        raise BadMessageError("body", f"{found.accepted_at} is not in the calendar")
    if found.journal_id != journal_id:
        raise reject_journal(found.journal_id, journal_id)
    return found


def carries_trades(frames: Sequence[bytes]) -> bool:
    """Return whether a message is one of events, by its kind alone."""
    return len(frames) == 1 and frames[0].startswith(_TRADES_LINE)


def decode_together(messages: Sequence[Sequence[bytes]], journal_id: str) -> list[list[Hint]] | None:
    """Read several messages that carry trades as ``decode_message`` does each; None when it would reject one."""
    return decode_bodies([frames[0][len(_TRADES_LINE) :] for frames in messages], journal_id)

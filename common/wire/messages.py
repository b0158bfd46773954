"""ZeroMQ messages: how events and workers' totals are encoded and decoded (docs/wire.md).

A message has one frame: a line with its kind and version, then JSON: an array of events, a range of them that the
sidecar reads from the journal, or the totals of one worker.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Annotated, Final

import msgspec

from common.decimals import DECIMAL_PATTERN
from common.errors import BadMessageError
from common.event import SOURCE_PATTERN, Event, Ref, Seq, Side
from common.symbols import Symbol, is_symbol
from common.timestamps import SECOND, TIMESTAMP_PATTERN, Timestamp, is_in_calendar, is_second
from common.wire.worker_totals import WorkerTotals

TRADES: Final = b"trades/1"
RANGE: Final = b"range/1"
TOTALS: Final = b"totals/1"
_KINDS: Final = (b"trades/", b"range/", b"totals/")

BAD_MESSAGE_REASONS: Final = ("unauthorised", "crowded", "frames", "kind", "version", "body", "journal_id", "forgotten")
"""Why a peer or a message may be rejected, in the order it is checked.

``journal_id``: it is of another journal. ``forgotten``: it is from a worker that may have been counted before.
"""

EVENTS_MAX: Final = 100
"""Events in one message. A request with more is announced as a range: reading the journal costs less."""


_REQUEST_ID: Final = r"^[A-Za-z0-9._-]{0,64}\Z"

RequestId = Annotated[str, msgspec.Meta(pattern=_REQUEST_ID)]


class Hint(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event on its way to the sidecar, as far as it is counted, with the id of its request.

    Its texts are as in ``Event``, and checked once for all events of a message: a pattern for each field takes 4 µs of
    CPU an event, the one of ``decode_message`` 1.5.
    """

    ts: str
    symbol: Symbol
    side: Side
    price: str
    qty: str
    source: str = ""
    ref: Ref | None = None
    fee: str | None = None
    seq: Seq
    id: str
    journal_id: str
    accepted_at: str
    request_id: str = ""


class SeqRange(msgspec.Struct, frozen=True):
    """The events that one request wrote, from ``first_seq`` to ``last_seq``, which are read from the journal."""

    journal_id: str
    first_seq: Seq
    last_seq: Seq
    accepted_at: Timestamp
    request_id: RequestId = ""


Message = list[Hint] | SeqRange | WorkerTotals


def _inner(pattern: str) -> str:
    return pattern.removeprefix("^").removesuffix(r"\Z")


_TIME, _DECIMAL, _REQUEST = map(_inner, (TIMESTAMP_PATTERN, DECIMAL_PATTERN, _REQUEST_ID))
# Its look-ahead names the end of the text, which is the next space here.
_SOURCE: Final = _inner(SOURCE_PATTERN).replace(r"\Z", " ")

# No field matches a space or a line break, so as many lines match as there are events only if each field does.
_LINES: Final = re.compile(rf"(?:{_TIME} {_TIME} {_DECIMAL} {_DECIMAL} {_DECIMAL} (?:{_SOURCE})? {_REQUEST}\n)*\Z")


class _CheckedHint(Event, frozen=True, kw_only=True):
    request_id: RequestId = ""


_hints = msgspec.json.Decoder(list[Hint])
_checked_hints = msgspec.json.Decoder(list[_CheckedHint])
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
        found = _hints.decode(body) if kind == TRADES else _range.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessageError("body", str(error)) from error
    if isinstance(found, SeqRange):
        if not is_in_calendar(found.accepted_at):
            raise BadMessageError("body", f"{found.accepted_at} is not in the calendar")
        _check_journal(found.journal_id, journal_id)
        return found
    _check_texts(found, body)
    for event in found:
        if not is_symbol(event.symbol):
            raise BadMessageError("body", f"seq {event.seq}: symbol {event.symbol!r} is not in its canonical form")
        if event.journal_id != journal_id:
            _check_journal(event.journal_id, journal_id)
    return found


def _check_texts(hints: list[Hint], body: bytes) -> None:
    text = "".join(
        [
            f"{each.ts} {each.accepted_at} {each.price} {each.qty} {'0' if each.fee is None else each.fee}"
            f" {each.source} {each.request_id}\n"
            for each in hints
        ]
    )
    if _LINES.match(text) is None or text.count("\n") != len(hints):
        raise BadMessageError("body", _find_fault(body))
    for each in hints:
        # The pattern alone accepts a 13th month.
        if not (is_second(each.ts[:SECOND]) and is_second(each.accepted_at[:SECOND])):
            raise BadMessageError("body", f"seq {each.seq}: {each.ts} or {each.accepted_at} is not in the calendar")


def _find_fault(body: bytes) -> str:
    """Return which field of a message with bad texts is none of an event, by the slow patterns."""
    try:
        _checked_hints.decode(body)
    except msgspec.ValidationError as error:
        return str(error)
    return "a text that no event has"


def _check_journal(given: str, expected: str) -> None:
    if given != expected:
        raise BadMessageError("journal_id", f"journal_id {given[:64]!r}; expected {expected!r}")

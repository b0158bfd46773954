"""The wire: how accepted events are written as ZeroMQ frames and read back (docs/wire.md).

A message has two frames: the kind with its version, and a JSON array of events.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from tape.errors import BadMessageError
from tape.event import Event

TRADES: Final = b"trades/1"

BAD_MESSAGE_REASONS: Final = ("frames", "kind", "version", "body", "origin")
"""Why a message may be unusable, in the order it is checked; ``origin``: it comes from another journal."""

_decoder = msgspec.json.Decoder(list[Event])
_FRAMES = 2


def encode(event: Event) -> bytes:
    """Write one event as JSON text, the form it has in every answer and on the wire."""
    return msgspec.json.encode(event)


def encode_page(events: Sequence[Event], following: int | None) -> bytes:
    """Write one page of the tape; ``following`` is the ``after`` that asks for the next one."""
    return msgspec.json.encode({"trades": events, "next": following})


def encode_message(events: Sequence[Event]) -> list[bytes]:
    """Write events, in ``seq`` order, as the frames of one message."""
    return [TRADES, msgspec.json.encode(events)]


def decode_message(frames: Sequence[bytes], origin: str) -> list[Event]:
    """Read the events of one message from the journal named ``origin``.

    Raises BadMessageError with one of BAD_MESSAGE_REASONS.
    """
    if len(frames) != _FRAMES:
        raise BadMessageError("frames", f"{len(frames)} frames; expected {_FRAMES}")
    kind, body = frames
    if kind != TRADES:
        reason = "version" if kind.startswith(b"trades/") else "kind"
        raise BadMessageError(reason, f"first frame {kind[:32]!r}; expected {TRADES!r}")
    try:
        events = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessageError("body", str(error)) from error
    for event in events:
        _check_instants(event)
        if event.origin != origin:
            raise BadMessageError("origin", f"origin {event.origin[:64]!r}; expected {origin!r}")
    return events


def _check_instants(event: Event) -> None:
    # The pattern alone would let a 13th month through.
    try:
        datetime.fromisoformat(event.ts)
        datetime.fromisoformat(event.accepted_at)
    except ValueError as error:
        raise BadMessageError("body", f"seq {event.seq}: {error}") from error

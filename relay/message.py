"""A batch as a message: JSON with the seq that it follows, the id of that trade, and the trades."""

import re
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Struct

from common.errors import RelayError
from common.event import SEQ_MAX, Event
from common.journal.hub import Batch, Mark
from relay.chain import check_trades

TRADES: Final = "trades."
"""The subject of a host's batches begins with it, and ends with its journal_id."""

REWIND: Final = "rewind."
"""The subject on which a hub asks a host to go on after the seq that the message has."""

BYTES_MAX: Final = 512 * 1024
"""The largest message; the stream takes 1 MiB with the headers."""


class Message(Struct):
    """The trades after a seq, in the order of their seqs; none of them: the journal has none."""

    after: Annotated[int, Meta(ge=0, le=SEQ_MAX)]
    events: list[Event]
    after_id: str = ""


_decoder = msgspec.json.Decoder(Message)
_seq_decoder = msgspec.json.Decoder(Annotated[int, Meta(ge=0, le=SEQ_MAX)])


def encode(batch: Batch) -> tuple[bytes, int]:
    """Write as many trades of a batch as a message takes, and return it with their number."""
    count = len(batch.events)
    while True:
        body = msgspec.json.encode(Message(batch.after, list(batch.events[:count]), batch.after_id))
        if len(body) <= BYTES_MAX or count <= 1:
            return body, count
        count = max(1, min(count - 1, count * BYTES_MAX // len(body)))


def decode(subject: str, body: bytes) -> Batch:
    """Read a message. Raises RelayError, ``body`` when it is none that a host sends, and ``hub`` when a hub sent it."""
    journal_id = subject.removeprefix(TRADES)
    if not re.fullmatch("[0-9a-f]{32}", journal_id):
        raise RelayError(
            "body", f"the subject {subject[:100]!r} has no journal_id; expected {TRADES} and 32 hex digits"
        )
    try:
        message = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RelayError("body", f"a message of {subject} is no batch of trades: {error}") from error
    if message.events and message.events[0].host_seq is not UNSET:
        raise RelayError("hub", f"journal {journal_id} is that of a hub; expected that of a host")
    check_trades(message.events)
    return Batch(journal_id, message.after, message.events, message.after_id)


def find_end(batch: Batch) -> Mark:
    """Return the seq and id of the last trade that a batch shows: its own, or the one that it follows."""
    last = batch.events[-1] if batch.events else None
    return Mark(batch.after, batch.after_id) if last is None else Mark(last.seq, last.id)


def encode_seq(seq: int) -> bytes:
    """Write the seq that a rewind asks for."""
    return str(seq).encode()


def decode_seq(body: bytes) -> int | None:
    """Read the seq that a rewind asks for, None for anything else."""
    try:
        seq: int = _seq_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return seq

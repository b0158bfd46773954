"""Messages of trades, counted by the sidecar's step in this process, or sent to a sidecar.

``messages.py count SIZE COUNT`` prints µs of processor time a trade as JSON, with SIZE trades a message.
``messages.py send SIZE COUNT AFTER JOURNAL ADDRESS`` sends trades whose seqs follow AFTER, as fast as they are taken;
the journal names them and has the key pair, and need not have them.
"""

import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import zmq
from msgspec.structs import replace

from common.event import SIDES, Event
from common.journal.store import Journal
from common.settings import Settings
from common.wire.messages import encode_message
from common.wire.transport import KeyPair
from sidecar.consumer import Consumer
from sidecar.counters import Counters
from sidecar.state import State

SYMBOLS: Final = 20
LINGER_MS: Final = 60_000
JOURNAL_ID: Final = "0" * 32
SETTINGS: Final = Settings(symbol_limit=200)


class Recording:
    """A receiver of recorded messages, and of nothing after them."""

    def __init__(self, messages: Sequence[list[bytes]]) -> None:
        """Begin with the first."""
        self._messages = iter(messages)

    def use(self, keys: KeyPair) -> None:
        """Ignore the key pair: messages are recorded."""

    def receive(self, timeout: float) -> list[bytes] | None:  # noqa: ARG002 - the protocol asks for it
        """Return the next message, None after the last."""
        return next(self._messages, None)


class NoJournal(Journal):
    """A journal that is not to be asked."""

    @property
    def journal_id(self) -> str:
        """Raise AssertionError: no message was missing."""
        message = "the consumer asked the journal, though no message was missing"
        raise AssertionError(message)


def make_event(seq: int) -> Event:
    """Make an event of one of SYMBOLS, with an id as long as real ones, which is part of what is decoded."""
    chance = random.Random(seq)
    at = f"2026-01-31T09:30:00.{seq % 1_000_000:06}Z"
    price, qty = f"{chance.uniform(10, 40_000):.2f}", f"{chance.uniform(0.001, 9):.4f}"
    return Event(
        at, f"SYMBOL{seq % SYMBOLS}", chance.choice(SIDES), price, qty,
        seq=seq, id=f"{seq:036}", journal_id=JOURNAL_ID, accepted_at=at,
    )  # fmt: skip


def count(size: int, trades: int) -> dict[str, float]:
    """Count trades; returns µs of processor time a trade, and how many were counted."""
    events = [make_event(seq) for seq in range(1, trades + 1)]
    messages = [encode_message(events[start : start + size]) for start in range(0, trades, size)]
    counters = Counters(State(JOURNAL_ID))
    # The clock is fixed: after a pause of the machine the consumer would read the journal.
    consumer = Consumer(counters, Recording(messages), NoJournal(Path("none")), SETTINGS, clock=lambda: 0.0)
    began = time.process_time()
    while consumer.step():
        pass
    spent = time.process_time() - began
    return {"µs": spent / trades * 1e6, "counted": counters.state.observed.events["live"]}


def send(size: int, trades: int, after: int, path: Path, address: str) -> None:
    """Send and wait until all has left."""
    with Journal(path) as journal:
        keys, journal_id = journal.key_pair, journal.journal_id
    events = [replace(make_event(seq), journal_id=journal_id) for seq in range(after + 1, after + trades + 1)]
    messages = [encode_message(events[start : start + size]) for start in range(0, trades, size)]
    # XPUB, not PUB: it says when the sidecar has subscribed, and what is sent before that is lost.
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.setsockopt(zmq.LINGER, LINGER_MS)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.CURVE_SERVERKEY, keys.public.encode())
        socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public.encode())
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret.encode())
        socket.connect(address)
        socket.recv()
        for frames in messages:
            socket.send_multipart(frames)


if __name__ == "__main__":
    command, each, number, *rest = sys.argv[1:]
    if command == "count":
        sys.stdout.write(json.dumps(count(int(each), int(number))))
    else:
        send(int(each), int(number), int(rest[0]), Path(rest[1]), rest[2])
        sys.stdout.write("{}")

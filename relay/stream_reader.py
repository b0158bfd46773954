"""Reading a stream: messages in the order of their seqs, as they come, and a word of the server when none does."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from nats.aio.msg import Msg

from common.errors import RelayError

SILENCE_SECONDS: Final = 2.0
"""After so long without a message or a heartbeat, what reads the stream is made again."""

FETCH: Final = 16
"""Messages that are asked for at once: with full ones, 8,000 trades of one transaction."""

FETCH_REQUEST: Final = json.dumps({"batch": FETCH, "expires": 10_000_000_000, "idle_heartbeat": 500_000_000}).encode()


class Stored(NamedTuple):
    """A message of the stream: its seq there, its subject, and how many came after it."""

    seq: int
    subject: str
    body: bytes
    pending: int = 0


class Reader:
    """Reads a stream in the order of its seqs, without acknowledgements."""

    def __init__(self, seq: int, ask: Callable[[], Awaitable[None]]) -> None:
        """Expect the message ``seq``, or a later one, first; ``ask`` asks for FETCH more."""
        self._ask = ask
        self._next = seq
        self._is_first = True
        self._wanted = 0
        self._found: list[Stored] = []
        self._failed: RelayError | None = None
        self._arrived = asyncio.Event()

    async def take(self, message: Msg) -> None:
        """Take a message of the stream, or a word of the server about it."""
        status = (message.headers or {}).get("Status")
        if status is None:
            self._take(message)
        elif status == "408":
            self._wanted = 0
        elif status != "100":
            self._failed = RelayError("broker", f"reading: {status} {(message.headers or {}).get('Description', '')}")
        self._arrived.set()

    def _take(self, message: Msg) -> None:
        meta = message.metadata
        seq = meta.sequence.stream
        # A server that restarts begins again, and a slow client drops some: the next reader is right.
        if seq < self._next or (seq > self._next and not self._is_first):
            self._failed = RelayError("broker", f"reading: message {seq} of the stream came; expected {self._next}")
            return
        self._is_first, self._next = False, seq + 1
        self._wanted -= 1
        self._found.append(Stored(seq, message.subject, message.data, meta.num_pending))

    async def receive(self) -> list[Stored]:
        """Return the messages that have arrived, none after a heartbeat. Raises RelayError."""
        if self._wanted <= 0:
            await self._fetch()
        try:
            await asyncio.wait_for(self._arrived.wait(), SILENCE_SECONDS)
        except TimeoutError:
            raise RelayError("timeout", f"reading: silence for {SILENCE_SECONDS:.0f} s") from None
        self._arrived.clear()
        if self._failed is not None:
            raise self._failed
        found, self._found = self._found, []
        if self._wanted <= 0:
            # The next ones are on their way while these are written.
            await self._fetch()
        return found

    async def _fetch(self) -> None:
        self._wanted = FETCH
        await self._ask()

"""Arrivals: the messages that a step of the consumer takes at once."""

from typing import Final, Protocol

from common.wire.messages import carries_trades
from common.wire.transport import KeyPair

TOGETHER: Final = 65_536
"""Bytes of messages of trades that are processed at once, when so many have arrived: some 200 trades fit a cache."""


class MessageSource(Protocol):
    """A source of messages; ``receive`` waits up to ``timeout`` seconds and returns None when none came."""

    def use(self, keys: KeyPair) -> None:
        """Accept messages only from peers that have this key pair."""

    def receive(self, timeout: float) -> list[bytes] | None:
        """Return the frames of the next message. Raises BadMessageError and AddressError."""


def take(receiver: MessageSource, timeout: float, arrived: list[list[bytes]]) -> None:
    """Add the next message to ``arrived``; after one of trades, also those that are there already.

    Only the last can be of another kind. Raises BadMessageError and AddressError; what was added then is to be
    processed.
    """
    size = 0
    while size < TOGETHER and (frames := receiver.receive(0 if arrived else timeout)) is not None:
        arrived.append(frames)
        size += len(frames[0]) if carries_trades(frames) else TOGETHER

"""Hints: messages to the sidecar, sent with the key pair of the open journal; any of them may be lost."""

import logging
from collections.abc import Callable

from common.errors import AddressError
from common.wire.transport import KeyPair, Sender

_log = logging.getLogger(__name__)


class Hints:
    """Opens its sender with the first message, and again when the key pair changes; the caller holds a lock."""

    def __init__(self, open_sender: Callable[[KeyPair], Sender]) -> None:
        """Keep the function that opens the sender; nothing is opened yet."""
        self._open_sender = open_sender
        self._sender: Sender | None = None
        self._keys: KeyPair | None = None

    def use(self, keys: KeyPair) -> None:
        """Use this key pair for the next messages."""
        if keys != self._keys:
            self.close()
            self._keys = keys

    def send(self, frames: list[bytes]) -> None:
        """Send one message; without a key pair, or when the address is bad, it is lost."""
        if self._keys is None:
            return
        try:
            if self._sender is None:
                self._sender = self._open_sender(self._keys)
        except AddressError as error:
            # A lost hint costs only time: the sidecar reads the journal.
            _log.warning("hint lost", extra={"reason": error.reason, "detail": error.detail})
        else:
            self._sender.send(frames)

    def close(self) -> None:
        """Close the socket after its queue has been sent; may be called twice."""
        if self._sender is not None:
            self._sender.close()
            self._sender = None

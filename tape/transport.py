"""The transport: hints of accepted trades from many senders to one receiver, over ZeroMQ PUB and SUB.

A hint may be lost; the journal holds the truth. Senders connect, the receiver binds: many workers, one address.
Each socket belongs to the one thread, or the one lock, that uses it.
"""

from collections.abc import Sequence
from typing import Final, Self

import zmq
from msgspec import Struct

from tape.errors import AddressError

QUEUE_LIMIT: Final = 10_000
"""Messages that wait in a socket's queue at the most; past that hints are dropped, never held up."""

MESSAGE_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of the largest frame the receiver takes; a peer that sends a larger one is cut off."""

_LINGER_MS = 200


class KeyPair(Struct, frozen=True):
    """A CURVE key pair, each key as 40 characters of Z85; the secret is never shown."""

    public: str
    secret: str

    def __repr__(self) -> str:
        """Show the public key only."""
        return f"KeyPair(public={self.public!r})"


def make_key_pair() -> KeyPair:
    """Make a new random key pair."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


class Sender:
    """A PUB socket that never blocks and may lose what it is given."""

    def __init__(self, addr: str) -> None:
        """Connect to ``addr``; the receiver need not be there yet. Raises AddressError."""
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.LINGER, _LINGER_MS)
        self._socket.setsockopt(zmq.SNDHWM, QUEUE_LIMIT)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 50)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        try:
            self._socket.connect(addr)
        except zmq.ZMQError as error:
            self.close()
            raise AddressError("address", f"cannot connect to {addr}: {error}") from error

    def send(self, frames: Sequence[bytes]) -> None:
        """Send one message, or lose it when the queue is full."""
        self._socket.send_multipart(frames, zmq.NOBLOCK)

    def close(self) -> None:
        """Let what is queued go out within 200 ms, and close; may be called twice."""
        self._socket.close()
        self._context.term()


class Receiver:
    """A SUB socket that takes every message, so that unusable ones can be counted."""

    def __init__(self, addr: str) -> None:
        """Bind ``addr``. Raises AddressError, in one line, when it is in use or cannot be bound."""
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, QUEUE_LIMIT)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MESSAGE_LIMIT)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        try:
            self._socket.bind(addr)
        except zmq.ZMQError as error:
            self.close()
            why = "it is in use" if error.errno == zmq.EADDRINUSE else str(error)
            raise AddressError("address", f"cannot bind {addr}: {why}") from error

    def receive(self, timeout: float) -> list[bytes] | None:
        """Give the frames of the next message, or None when ``timeout`` seconds bring none."""
        try:
            return self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            pass
        if not self._socket.poll(int(timeout * 1000)):
            return None
        return self._socket.recv_multipart(zmq.NOBLOCK)

    def close(self) -> None:
        """Close and free the address; may be called twice."""
        self._socket.close()
        self._context.term()

    def __enter__(self) -> Self:
        """Use the receiver in a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close at the end of the block."""
        self.close()

"""The transport: hints of accepted trades from many senders to one receiver, over ZeroMQ PUB and SUB with CURVE.

A hint may be lost; the journal is authoritative. Senders connect, the receiver binds: many workers, one address.
Both ends use the journal's key pair, so only a process that can read the journal completes the handshake.
Each socket belongs to the one thread, or the one lock, that uses it.
"""

import math
import resource
import struct
import time
from collections.abc import Sequence
from typing import Final, Self

import zmq
from msgspec import Struct
from zmq.utils import z85

from common.errors import AddressError, BadMessageError

QUEUE_LIMIT: Final = 64
"""Messages in a connection's queue, at each end; when it is full hints are dropped, and nothing blocks."""

MESSAGE_LIMIT: Final = 512 * 1024
"""Bytes of the largest frame the receiver takes; a peer that sends a larger one is cut off."""

HANDSHAKE_SECONDS: Final = 2.0
"""A peer that has not completed the handshake by then is cut off."""

CONNECTION_LIMIT: Final = 600
"""Open connections; two generations of 256 workers have fewer. Above it all are cut off, and workers reconnect."""

_LINGER_MS = 200
_ADMIT_EVERY = 64
_PEERS = "inproc://peers"
# The first frame of a monitor's event: its number and its value, which is the file descriptor of the peer. pyzmq's own
# reader of it would load asyncio (docs/bench.md).
_MONITOR_EVENT = struct.Struct("=Hi")


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
    """A PUB socket that never blocks and may lose messages."""

    def __init__(self, addr: str, keys: KeyPair) -> None:
        """Connect to ``addr``; the receiver need not be there yet. Raises AddressError."""
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.LINGER, _LINGER_MS)
        self._socket.setsockopt(zmq.SNDHWM, QUEUE_LIMIT)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 50)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        self._socket.setsockopt(zmq.CURVE_SERVERKEY, keys.public.encode())
        self._socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public.encode())
        self._socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret.encode())
        try:
            self._socket.connect(addr)
        except zmq.ZMQError as error:
            self.close()
            raise AddressError("address", f"cannot connect to {addr}: {error}") from error

    def send(self, frames: Sequence[bytes]) -> None:
        """Send one message, or drop it when the queue is full."""
        self._socket.send_multipart(frames, zmq.NOBLOCK)

    def close(self) -> None:
        """Wait up to 200 ms until queued messages are sent, and close; may be called twice."""
        self._socket.close()
        self._context.term()


def _receiving(keys: KeyPair) -> dict[int, int | bytes]:
    return {
        zmq.LINGER: 0,
        zmq.RCVHWM: QUEUE_LIMIT,
        # All workers connect at once when the receiver starts again.
        zmq.BACKLOG: CONNECTION_LIMIT,
        zmq.MAXMSGSIZE: MESSAGE_LIMIT,
        zmq.HANDSHAKE_IVL: int(HANDSHAKE_SECONDS * 1000),
        zmq.CURVE_SERVER: 1,
        zmq.CURVE_SECRETKEY: keys.secret.encode(),
        zmq.ZAP_DOMAIN: b"hints",
        # Otherwise libzmq admits every key while nothing answers its requests.
        zmq.ZAP_ENFORCE_DOMAIN: 1,
        zmq.SUBSCRIBE: b"",
    }


class Receiver:
    """A SUB socket that receives every message of the peers that have the key, so that unusable ones can be counted.

    ``receive`` also admits peers, so no handshake completes while its thread does something else.
    """

    def __init__(self, addr: str, keys: KeyPair) -> None:
        """Bind ``addr``. Raises AddressError, in one line, when it is in use or cannot be bound."""
        self._addr = addr
        self._keys = keys
        self._bound: _Bound | None = _Bound(addr, keys)

    def use(self, keys: KeyPair) -> None:
        """Cut all peers off; the next ``receive`` binds again with the new key pair. The same pair changes nothing."""
        if keys != self._keys:
            self.close()
            self._keys = keys

    def receive(self, timeout: float) -> list[bytes] | None:
        """Return the frames of the next message, or None when there is none within ``timeout`` seconds.

        Raises BadMessageError for each peer that was cut off before it had completed the handshake (``unauthorised``),
        and when all are cut off because they are too many (``crowded``); AddressError when it cannot be bound again.
        """
        if self._bound is None:
            try:
                self._bound = _Bound(self._addr, self._keys)
            except AddressError:
                time.sleep(timeout)
                raise
        try:
            return self._bound.receive(timeout)
        except BadMessageError as error:
            if error.reason == "crowded":
                self.close()
            raise

    def close(self) -> None:
        """Close and free the address; may be called twice."""
        if self._bound is not None:
            self._bound.close()
            self._bound = None

    def __enter__(self) -> Self:
        """Use the receiver in a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close at the end of the block."""
        self.close()


class _Bound:
    """The sockets of one address and one key pair: messages, libzmq's ZAP requests about keys, and monitor events."""

    def __init__(self, addr: str, keys: KeyPair) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Half of the file descriptors are left to the journal, the snapshot and HTTP.
        self._limit = CONNECTION_LIMIT if files < 0 else min(CONNECTION_LIMIT, files // 2)
        self._key = z85.decode(keys.public)
        self._received = 0
        self._cut = 0
        self._connected = 0
        self._handshaking: dict[int, float] = {}
        self._context = zmq.Context()
        self._requests = self._context.socket(zmq.REP)
        self._requests.setsockopt(zmq.LINGER, 0)
        self._requests.bind("inproc://zeromq.zap.01")
        self._messages = self._context.socket(zmq.SUB)
        for option, value in _receiving(keys).items():
            self._messages.setsockopt(option, value)
        self._messages.monitor(_PEERS, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self._peers = self._context.socket(zmq.PAIR)
        self._peers.setsockopt(zmq.LINGER, 0)
        # A full queue would block libzmq's own thread.
        self._peers.setsockopt(zmq.RCVHWM, 0)
        self._peers.connect(_PEERS)
        self._poller = zmq.Poller()
        for each in (self._messages, self._requests, self._peers):
            self._poller.register(each, zmq.POLLIN)
        try:
            self._messages.bind(addr)
        except zmq.ZMQError as error:
            self.close()
            why = "it is in use" if error.errno == zmq.EADDRINUSE else str(error)
            raise AddressError("address", f"cannot bind {addr}: {why}") from error

    def receive(self, timeout: float) -> list[bytes] | None:
        # Peers must be admitted even when there is always a next message.
        self._received += 1
        if self._received % _ADMIT_EVERY == 0:
            self._admit()
        deadline = None
        while not self._cut:
            try:
                # Not recv_multipart, which asks the socket whether a frame follows: that takes as long again.
                frame = self._messages.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                now = time.monotonic()
            else:
                return [frame.bytes, *self._messages.recv_multipart()] if frame.more else [frame.bytes]
            deadline = now + timeout if deadline is None else deadline
            if now >= deadline:
                return None
            # When only messages have arrived, no peer waits; those that are late are found between them.
            if dict(self._poller.poll(math.ceil((deadline - now) * 1000))).keys() != {self._messages}:
                self._admit()
        self._cut -= 1
        raise BadMessageError("unauthorised", "a peer was cut off that had not completed the handshake")

    def _admit(self) -> None:
        self._follow()
        for _ in range(_ADMIT_EVERY):
            if not self._requests.poll(0):
                break
            version, number, *_, key = self._requests.recv_multipart()
            known = key == self._key
            self._cut += not known
            answer = (b"200", b"OK") if known else (b"400", b"another key")
            self._requests.send_multipart([version, number, *answer, b"", b""])
            # A ZAP request does not name its connection; most likely it is the one that has waited longest.
            self._handshaking.pop(next(iter(self._handshaking), -1), None)
        if self._connected > self._limit:
            raise BadMessageError("crowded", f"more than {self._limit} connections were open, so all were cut off")

    def _follow(self) -> None:
        now = time.monotonic()
        while self._peers.poll(0):
            event, peer = _MONITOR_EVENT.unpack(self._peers.recv_multipart()[0])
            if event == zmq.EVENT_ACCEPTED:
                self._connected += 1
                self._handshaking[peer] = now
            else:
                self._connected -= 1
                self._cut += self._handshaking.pop(peer, None) is not None
        for peer, since in tuple(self._handshaking.items()):
            if since > now - 2 * HANDSHAKE_SECONDS:
                break
            # A connection this old was admitted: its ZAP request was attributed to another one, which was cut off.
            del self._handshaking[peer]
            self._cut += 1

    def close(self) -> None:
        for each in (self._messages, self._requests, self._peers):
            each.close()
        self._context.term()

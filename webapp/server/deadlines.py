"""Deadlines: a client's socket on which nothing waits for the client without end."""

import errno
import fcntl
import socket
import struct
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from http import HTTPStatus
from typing import Any, Final

from werkzeug.exceptions import RequestTimeout

from webapp.concurrency import end_reading
from webapp.server.connections import reject

_SHORTEST: Final = 0.001
_LINGER_NONE: Final = struct.pack("ii", 1, 0)


class Phase(Enum):
    """What the client is to send next."""

    IDLE = "a request, or nothing"
    HEAD = "the rest of a request's head"
    BODY = "the body"


class DeadlineSocket:
    """A client's socket as gunicorn uses it: reads end when their time is up, writes when the client takes nothing.

    ``timeout`` seconds are given to the first request, to each head and to each body, as a whole, and ``idle`` seconds
    to what may come between requests.
    """

    def __init__(self, client: socket.socket, timeout: float, idle: float, drop: Callable[[str], None]) -> None:
        """Wait for the first request; ``drop`` is called with the reason when the connection is ended."""
        self._client = client
        self._timeout = timeout
        self._idle = idle
        self._drop = drop
        self._give_up: Callable[[], None] = lambda: None
        self._wait_for(Phase.IDLE, timeout)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the rest is the socket's own
        """Give whatever else a socket has."""
        return getattr(self._client, name)

    def expect_body(self, give_up: Callable[[], None]) -> None:
        """Give the body of the request that was just read its time; ``give_up`` is called when it is up."""
        self._give_up = give_up
        self._wait_for(Phase.BODY, self._timeout)

    def expect_request(self) -> None:
        """Wait for another request."""
        self._wait_for(Phase.IDLE, self._idle)

    def end_idle(self) -> None:
        """End the wait for a request of which nothing has come yet."""
        if self._phase is Phase.IDLE:
            end_reading(self._client)

    def recv(self, size: int) -> bytes:
        """Receive what there is, b"" at the end; a head or a wait whose time is up is an end.

        Raises RequestTimeout when the body's time is up, ConnectionResetError.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            return self._expire()
        try:
            self._client.settimeout(max(left, _SHORTEST))
            data = self._client.recv(size)
        except TimeoutError:
            return self._expire()
        except OSError as error:
            # Whatever the network says of a lost client: gunicorn would log it as a bug of its own.
            raise ConnectionResetError(errno.ECONNRESET, "the client is gone") from error
        if data and self._phase is Phase.IDLE:
            self._wait_for(Phase.HEAD, self._timeout)
        return data

    def sendall(self, data: bytes) -> None:
        """Send all of it, at the client's pace. Raises BrokenPipeError when the client takes nothing any more."""
        left = memoryview(data)
        waiting = None
        while left:
            try:
                self._client.settimeout(self._timeout)
                left = left[self._client.send(left) :]
                waiting = None
            except TimeoutError:
                # The kernel asks for more only when a good part of its queue is gone; a slow client may need longer.
                before, waiting = waiting, self._count_unsent()
                if before is not None and waiting >= before:
                    self._drop("write_timeout")
                    with suppress(OSError):
                        # Otherwise the kernel keeps what is queued for minutes.
                        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
                    raise BrokenPipeError(errno.EPIPE, "the client takes nothing") from None
            except OSError as error:
                raise BrokenPipeError(errno.EPIPE, "the client is gone") from error

    def reject(self, status: HTTPStatus, reason: str, detail: str) -> str:
        """Answer a request that could not be read, without waiting for the client; gives the request's id."""
        return reject(self._client, status, reason, detail)

    def _wait_for(self, phase: Phase, seconds: float) -> None:
        self._phase = phase
        self._deadline = time.monotonic() + seconds

    def _expire(self) -> bytes:
        if self._phase is Phase.BODY:
            self._give_up()
            raise RequestTimeout(f"The body did not arrive within {self._timeout:g} s")
        if self._phase is Phase.HEAD:
            self._drop("head_timeout")
            detail = f"The request's head did not arrive within {self._timeout:g} s"
            self.reject(HTTPStatus.REQUEST_TIMEOUT, "head_timeout", detail)
        return b""

    def _count_unsent(self) -> int:
        answer = fcntl.ioctl(self._client.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
        (unsent,) = struct.unpack("i", answer)
        return int(unsent)

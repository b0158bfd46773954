"""Deadlines: a client's socket on which every wait has a limit."""

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
    """What the client sends next."""

    IDLE = "a request, or nothing"
    HEAD = "the rest of a request's head"
    BODY = "the body"


class DeadlineSocket:
    """A client's socket for gunicorn: reads end at a deadline, writes when the client reads nothing.

    The start of the first request, each whole head and each whole body have ``timeout`` seconds; the wait for another
    request has ``idle`` seconds.
    """

    def __init__(self, client: socket.socket, timeout: float, idle: float, drop: Callable[[str], None]) -> None:
        """Wait for the first request; ``drop`` is called with the reason when a deadline ends the connection."""
        self._client = client
        self._timeout = timeout
        self._idle = idle
        self._drop = drop
        self._on_timeout: Callable[[], None] = lambda: None
        self._head: bytes | None = b""
        self._wait_for(Phase.IDLE, timeout)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the attributes of a socket
        """Return any other attribute of the socket."""
        return getattr(self._client, name)

    def expect_body(self, on_timeout: Callable[[], None]) -> None:
        """Start the deadline of the body; ``on_timeout`` is called when it expires.

        The head of the answer, which is what is sent first, waits for its body: one packet instead of two.
        """
        self._on_timeout = on_timeout
        self._head = None
        self._wait_for(Phase.BODY, self._timeout)

    def expect_request(self) -> None:
        """Start the deadline of another request."""
        self._wait_for(Phase.IDLE, self._idle)

    def end_answer(self) -> None:
        """Send the head of an answer that has no body; what is sent later waits for nothing. Raises BrokenPipeError."""
        head, self._head = self._head, b""
        if head:
            self.sendall(head)

    def end_idle(self) -> None:
        """Close the connection for reading if no byte of a next request was received."""
        if self._phase is Phase.IDLE:
            end_reading(self._client)

    def recv(self, size: int) -> bytes:
        """Receive data, b"" at the end, or when the deadline of a head or of another request has expired.

        Raises RequestTimeout when the deadline of the body has expired, and ConnectionResetError.
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
            # gunicorn logs other network errors of a lost client as its own bugs.
            raise ConnectionResetError(errno.ECONNRESET, "the client has disconnected") from error
        if data and self._phase is Phase.IDLE:
            self._wait_for(Phase.HEAD, self._timeout)
        return data

    def sendall(self, data: bytes) -> None:
        """Send all data, however slowly the client reads. Raises BrokenPipeError when the client reads nothing."""
        if self._head is None:
            self._head = data
            return
        left = memoryview(self._head + data)
        self._head = b""
        waiting = None
        while left:
            try:
                self._client.settimeout(self._timeout)
                left = left[self._client.send(left) :]
                waiting = None
            except TimeoutError:
                # The kernel accepts more only when much of its queue was sent, which may take a slow client longer.
                before, waiting = waiting, self._count_unsent()
                if before is not None and waiting >= before:
                    self._drop("write_timeout")
                    with suppress(OSError):
                        # Otherwise the kernel keeps the queued data for minutes.
                        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
                    raise BrokenPipeError(errno.EPIPE, "the client reads nothing") from None
            except OSError as error:
                raise BrokenPipeError(errno.EPIPE, "the client has disconnected") from error

    def reject(self, status: HTTPStatus, reason: str, detail: str) -> str:
        """Answer a request that could not be read, without waiting for the client; return the request's id."""
        return reject(self._client, status, reason, detail)

    def _wait_for(self, phase: Phase, seconds: float) -> None:
        self._phase = phase
        self._deadline = time.monotonic() + seconds

    def _expire(self) -> bytes:
        if self._phase is Phase.BODY:
            self._on_timeout()
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

"""The sidecar's HTTP server: a thread for each connection, one request each, all of them bounded."""

import contextlib
import errno
import http
import io
import logging
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from common.errors import AddressError
from sidecar.routes import Answer, Request, make_problem

CONNECTIONS_LIMIT: Final = 32
"""Connections at once; one more cuts the oldest that waits for its client."""

HEAD_BYTES: Final = 16 * 1024
"""Bytes of a request line with its headers."""

HEAD_SECONDS: Final = 5.0
"""How long a client may take to send them, all together."""

ANSWER_SECONDS: Final = 10.0
"""How long a client may take to read its answer."""

REST_BYTES: Final = 64 * 1024
REST_SECONDS: Final = 1.0
"""How much of what nobody reads is taken from a client, and for how long, so that it gets its answer before the end."""

_HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("Connection", "close"),
    ("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)

_BUSY = make_problem(http.HTTPStatus.SERVICE_UNAVAILABLE, "busy", "too many requests at once")
_DETAILS: Final = {
    http.HTTPStatus.REQUEST_TIMEOUT: ("timeout", f"no whole request within {HEAD_SECONDS:g} s"),
    http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        "too_large",
        f"a request has at most {HEAD_BYTES} bytes and 100 headers",
    ),
}


_log = logging.getLogger(__name__)


class _HeadTooLargeError(Exception):
    """A request line and headers of more than HEAD_BYTES."""


class _Head(io.RawIOBase):
    """Reads the head of a request, of so many bytes, until so late."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._left = HEAD_BYTES
        self._until = time.monotonic() + HEAD_SECONDS

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - its type has a name for type checkers only
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        if not self._left:
            raise _HeadTooLargeError
        self._connection.settimeout(seconds)
        count = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count


def encode_answer(answer: Answer) -> bytes:
    """Write an answer as HTTP."""
    headers = (("Content-Type", answer.kind), ("Content-Length", str(len(answer.body))), *_HEADERS, *answer.headers)
    lines = [f"HTTP/1.0 {answer.status.value} {answer.status.phrase}", *(f"{name}: {text}" for name, text in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body


class _Handler(BaseHTTPRequestHandler):
    server: "Server"

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(_Head(self.connection))
        self._rest = True

    def handle(self) -> None:
        try:
            self.raw_requestline = self.rfile.readline(HEAD_BYTES)
            if not self.raw_requestline.strip():
                self._rest = False
                return
            if not self.parse_request():
                return
        except TimeoutError:
            self.send_error(http.HTTPStatus.REQUEST_TIMEOUT)
            return
        except _HeadTooLargeError:
            self.send_error(http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        self._rest = "Content-Length" in self.headers or "Transfer-Encoding" in self.headers
        request = Request(self.command, self.path, self.request_version, self.headers, self.client_address[0])
        with self.server.connections.working(self.connection):
            answer = self.server.answer(request)
        self._send(answer)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that is none; the texts of the standard library repeat what was sent."""
        del message, explain
        status = http.HTTPStatus(code)
        if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            status = http.HTTPStatus.BAD_REQUEST
        reason, detail = _DETAILS.get(status, ("bad_request", "this is no request of HTTP/1.0 or HTTP/1.1"))
        self._send(make_problem(status, reason, detail))

    def _send(self, answer: Answer) -> None:
        self.connection.settimeout(ANSWER_SECONDS)
        self.connection.sendall(encode_answer(answer))
        if self._rest:
            # Closed with bytes unread, the connection would be reset, perhaps before the answer was read.
            self.connection.shutdown(socket.SHUT_WR)
            self._discard_rest()

    def _discard_rest(self) -> None:
        until, left = time.monotonic() + REST_SECONDS, REST_BYTES
        while left > 0 and (seconds := until - time.monotonic()) > 0:
            self.connection.settimeout(seconds)
            got = len(self.connection.recv(8192))
            if not got:
                return
            left -= got


class Connections:
    """Which connections are open, oldest first, and which of them are being worked for."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._waiting: dict[socket.socket, bool] = {}

    def admit(self, connection: socket.socket) -> bool:
        """Take a connection in, if need be in place of the oldest that waits for its client; False if none does."""
        with self._lock:
            if len(self._waiting) >= CONNECTIONS_LIMIT:
                oldest = next((each for each, waits in self._waiting.items() if waits), None)
                if oldest is None:
                    return False
                del self._waiting[oldest]
                _cut(oldest)
            self._waiting[connection] = True
        return True

    @contextlib.contextmanager
    def working(self, connection: socket.socket) -> Iterator[None]:
        """Keep a connection while its answer is made."""
        self._set_waiting(connection, waits=False)
        try:
            yield
        finally:
            self._set_waiting(connection, waits=True)

    def release(self, connection: socket.socket) -> None:
        """Forget a connection that ends."""
        with self._lock:
            self._waiting.pop(connection, None)

    def _set_waiting(self, connection: socket.socket, *, waits: bool) -> None:
        with self._lock:
            if connection in self._waiting:
                self._waiting[connection] = waits


class Server(socketserver.ThreadingTCPServer):
    """Bound when made, so that a port in use is known at the start; it listens once ``open`` is called."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, host: str, port: int) -> None:
        """Bind the address. Raises AddressError, in one line, when it is in use or cannot be bound."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler, bind_and_activate=False)
        self.connections = Connections()
        self.answer: Callable[[Request], Answer]
        try:
            self.server_bind()
        except OSError as error:
            self.server_close()
            why = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
            raise AddressError("address", f"cannot bind http://{host}:{port}: {why}") from error

    @property
    def server_port(self) -> int:
        """Give the port, chosen by the system if it was to choose."""
        return self.server_address[1]

    def open(self, answer: Callable[[Request], Answer]) -> None:
        """Begin to listen, and answer with ``answer`` once ``serve_forever`` runs."""
        self.answer = answer
        self.server_activate()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the standard library has it
        """Start a thread for a connection, if there is room for one."""
        if self.connections.admit(request):
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.settimeout(0)
            request.send(encode_answer(_BUSY))
        self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as the standard library has it
        """End a connection."""
        self.connections.release(request)
        super().shutdown_request(request)

    def handle_error(self, *_: Any) -> None:  # noqa: ANN401 - as the standard library has it
        """Let a client go that went away or was too slow, and log anything else."""
        error = sys.exception()
        if not isinstance(error, OSError):
            _log.error("request failed", exc_info=error)


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)

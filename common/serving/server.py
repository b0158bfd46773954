"""The HTTP server: one thread and one request per connection, limited in number, size and time."""

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
from common.serving.answers import Answer, Request, make_problem
from common.serving.rejections import Rejections

CONNECTIONS_LIMIT: Final = 32
"""Open connections; one more closes the oldest that is waiting for its client."""

HEAD_BYTES: Final = 16 * 1024
"""Maximum size of the request line and headers."""

HEAD_SECONDS: Final = 5.0
"""How long a client may take to send the request line and headers."""

ANSWER_SECONDS: Final = 10.0
"""How long a client may take to read its answer."""

UNREAD_BYTES: Final = 64 * 1024
UNREAD_SECONDS: Final = 1.0
"""How much of an unread request is discarded, and for how long, before the connection is closed."""

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
    """The request line and headers are longer than HEAD_BYTES."""


class _Head(io.RawIOBase):
    """Reads the request line and headers, within HEAD_BYTES and HEAD_SECONDS."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._left = HEAD_BYTES
        self._deadline = time.monotonic() + HEAD_SECONDS

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - its type exists for type checkers only
        seconds = self._deadline - time.monotonic()
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
        self._has_unread = True

    def handle(self) -> None:
        try:
            self.raw_requestline = self.rfile.readline(HEAD_BYTES)
            if not self.raw_requestline.strip():
                self._has_unread = False
                return
            if not self.parse_request():
                return
        except TimeoutError:
            self.send_error(http.HTTPStatus.REQUEST_TIMEOUT)
            return
        except _HeadTooLargeError:
            self.send_error(http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        self._has_unread = "Content-Length" in self.headers or "Transfer-Encoding" in self.headers
        request = Request(self.command, self.path, self.request_version, self.headers)
        with self.server.connections.working(self.connection):
            answer = self.server.answer(request)
        self._send(answer)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a malformed request; the standard library's texts would echo what was sent."""
        del message, explain
        status = http.HTTPStatus(code)
        if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            status = http.HTTPStatus.BAD_REQUEST
        reason, detail = _DETAILS.get(status, ("bad_request", "not a request of HTTP/1.0 or HTTP/1.1"))
        self._send(make_problem(status, reason, detail))

    def _send(self, answer: Answer) -> None:
        if answer.reason:
            self.server.rejections.add(answer.reason)
        self.connection.settimeout(ANSWER_SECONDS)
        self.connection.sendall(encode_answer(answer))
        if self._has_unread:
            # Closing with unread bytes resets the connection, perhaps before the client has read the answer.
            self.connection.shutdown(socket.SHUT_WR)
            self._discard_unread()

    def _discard_unread(self) -> None:
        deadline, left = time.monotonic() + UNREAD_SECONDS, UNREAD_BYTES
        while left > 0 and (seconds := deadline - time.monotonic()) > 0:
            self.connection.settimeout(seconds)
            got = len(self.connection.recv(8192))
            if not got:
                return
            left -= got


class Connections:
    """The open connections, oldest first, and which of them are waiting for their clients."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._waiting: dict[socket.socket, bool] = {}

    def admit(self, connection: socket.socket) -> bool:
        """Admit a connection; at the limit close the oldest that is waiting, or return False if none is."""
        with self._lock:
            if len(self._waiting) >= CONNECTIONS_LIMIT:
                oldest = next((each for each, waits in self._waiting.items() if waits), None)
                if oldest is None:
                    return False
                del self._waiting[oldest]
                _shut_down(oldest)
            self._waiting[connection] = True
        return True

    @contextlib.contextmanager
    def working(self, connection: socket.socket) -> Iterator[None]:
        """Protect a connection from being closed while its answer is made."""
        self._set_waiting(connection, waits=False)
        try:
            yield
        finally:
            self._set_waiting(connection, waits=True)

    def release(self, connection: socket.socket) -> None:
        """Remove a closed connection."""
        with self._lock:
            self._waiting.pop(connection, None)

    def _set_waiting(self, connection: socket.socket, *, waits: bool) -> None:
        with self._lock:
            if connection in self._waiting:
                self._waiting[connection] = waits


class Server(socketserver.ThreadingTCPServer):
    """Binds its address when made, so that a port in use is reported at the start; ``open`` makes it listen."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, host: str, port: int) -> None:
        """Bind the address. Raises AddressError when it is in use or cannot be bound."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler, bind_and_activate=False)
        self.connections = Connections()
        self.rejections = Rejections()
        self.answer: Callable[[Request], Answer]
        try:
            self.server_bind()
        except OSError as error:
            self.server_close()
            why = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
            raise AddressError("address", f"cannot bind http://{host}:{port}: {why}") from error

    def open(self, answer: Callable[[Request], Answer]) -> None:
        """Start listening; requests are answered by ``answer`` once ``serve_forever`` runs."""
        self.answer = answer
        self.server_activate()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the standard library's signature
        """Start a thread for an admitted connection; answer any other with 503."""
        if self.connections.admit(request):
            super().process_request(request, client_address)
            return
        self.rejections.add(_BUSY.reason)
        with contextlib.suppress(OSError):
            request.settimeout(0)
            request.send(encode_answer(_BUSY))
        self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - the standard library's signature
        """Close a connection."""
        self.connections.release(request)
        super().shutdown_request(request)

    def handle_error(self, *_: Any) -> None:  # noqa: ANN401 - the standard library's signature
        """Ignore clients that disconnected or were too slow, and log any other error."""
        error = sys.exception()
        if not isinstance(error, OSError):
            _log.error("request failed", exc_info=error)


def _shut_down(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)

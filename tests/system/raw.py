"""Raw HTTP requests, for what no HTTP library would send."""

import contextlib
import socket
from typing import NamedTuple

HOST = b"Host: 127.0.0.1\r\n"


class Reply(NamedTuple):
    """The first response on a connection; ``status`` is 0 when there was none."""

    status: int
    headers: dict[str, str]
    body: bytes


def talk(port: int, sent: bytes, *, half_close: bool = True, seconds: float = 20) -> Reply:
    """Send bytes, and read until the server closes the connection. ``half_close`` signals the end of the request."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                found += piece
    return parse(found)


def parse(found: bytes) -> Reply:
    """Parse a response, skipping 100 Continue."""
    head, _, body = found.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    if not head:
        return Reply(0, {}, b"")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = [line.partition(": ") for line in lines]
    return Reply(int(first.split()[1]), {name.lower(): value for name, _, value in pairs}, body)


def write(method: str, target: str, body: bytes = b"", *headers: str, version: str = "HTTP/1.1") -> bytes:
    """Return a request as bytes, with ``Content-Length`` if it has a body."""
    lines = [f"{method} {target} {version}", "Host: 127.0.0.1", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body

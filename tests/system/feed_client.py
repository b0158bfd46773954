"""A feed client over a plain socket, which reads as fast or as slowly as a test needs."""

import contextlib
import socket
import threading
import time
from typing import Self

from tests.system.stack import Stack


class FeedClient:
    """Records the ids of the trades it receives, and resumes after the last one, as a browser does.

    ``buffer`` is the size of the kernel's receive buffer in bytes; a small one makes a slow reader block the server.
    """

    def __init__(self, stack: Stack, after: int | None = None, buffer: int = 0, query: str = "") -> None:
        self.ids: list[int] = []
        self._path = f"/feed{query}"
        self.connected = 0
        self._address = ("127.0.0.1", int(stack.settings["WEBAPP_HTTP_PORT"]))
        self._after = after
        self._buffer = buffer
        self._socket = socket.socket()
        self._rest = b""

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def connect(self) -> None:
        """Open the feed after the last id received."""
        self._socket.close()
        self._rest = b""
        self._socket = socket.socket()
        if self._buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        self._socket.settimeout(5)
        self._socket.connect(self._address)
        after = self.ids[-1] if self.ids else self._after
        resume = "" if after is None else f"Last-Event-ID: {after}\r\n"
        self._socket.sendall(f"GET {self._path} HTTP/1.1\r\nHost: localhost\r\n{resume}\r\n".encode())

    @property
    def name(self) -> tuple[str, int]:
        """The local address, to find the connection in a worker."""
        found: tuple[str, int] = self._socket.getsockname()
        return found

    def read(self, size: int = 65536) -> bool:
        """Read once, for at most 5 s. Return False when the connection has ended."""
        try:
            chunk = self._socket.recv(size)
        except TimeoutError:
            return True
        except OSError:
            return False
        *messages, self._rest = (self._rest + chunk).split(b"\n\n")
        for message in messages:
            lines = message.splitlines()
            self.connected += b"HTTP/1.1 200 OK" in lines
            if b"event: trade" in lines:
                self.ids += [int(line[4:]) for line in lines if line.startswith(b"id: ")]
        return bool(chunk)

    def read_to_end(self, size: int = 65536) -> None:
        """Read until the connection ends."""
        deadline = time.monotonic() + 30
        while self.read(size):
            assert time.monotonic() < deadline, "the connection did not end"

    def read_to(self, seq: int, size: int = 65536, pause: float = 0.0) -> int:
        """Read until ``seq`` arrives, reconnecting when disconnected. Return the number of reconnects."""
        deadline, reconnects = time.monotonic() + 60, 0
        while not self.ids or self.ids[-1] < seq:
            assert time.monotonic() < deadline, f"seq {seq} did not arrive; the last was {self.ids[-1:]}"
            if not self.read(size):
                reconnects += 1
                self._reconnect(pause)
            time.sleep(pause)
        return reconnects

    def follow(self, done: threading.Event) -> None:
        """Read until ``done`` is set, reconnecting when disconnected."""
        self._reconnect(0.2)
        while not done.is_set():
            if not self.read():
                self._reconnect(0.2)
        self.close()

    def _reconnect(self, pause: float) -> None:
        with contextlib.suppress(OSError):
            self.connect()
            return
        time.sleep(pause)

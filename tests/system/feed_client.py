"""A viewer of the feed over a plain socket: it reads as fast or as slowly as a test wants."""

import contextlib
import socket
import threading
import time
from typing import Self

from tests.system.stack import Stack


class Watcher:
    """One viewer that notes the ids of the trades it is told, and comes again from the last one, as a browser does.

    ``buffer`` makes the kernel's room small, so that not reading is soon noticed.
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
        """Ask for the feed from the last id on."""
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
        """This end's address, to be found among a worker's connections."""
        found: tuple[str, int] = self._socket.getsockname()
        return found

    def read(self, size: int = 65536) -> bool:
        """Take what has come, or nothing in 5 s; False when the connection has ended."""
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
        """Read until a seq is there, coming again when cut off; gives how often that was."""
        deadline, again = time.monotonic() + 60, 0
        while not self.ids or self.ids[-1] < seq:
            assert time.monotonic() < deadline, f"{seq} did not come; the last was {self.ids[-1:]}"
            if not self.read(size):
                again += 1
                self._connect_soon(pause)
            time.sleep(pause)
        return again

    def follow(self, done: threading.Event) -> None:
        """Read until told otherwise, coming again when cut off."""
        self._connect_soon(0.2)
        while not done.is_set():
            if not self.read():
                self._connect_soon(0.2)
        self.close()

    def _connect_soon(self, pause: float) -> None:
        with contextlib.suppress(OSError):
            self.connect()
            return
        time.sleep(pause)

"""Sends one request repeatedly over keep-alive connections: ``python -m bench.load PORT COUNT``.

At full speed each connection sends again once it is answered; with a rate requests are due one after the other,
and their delays begin when they are due.
"""

import argparse
import json
import selectors
import socket
import sys
import time
from pathlib import Path
from typing import Final

CONNECTIONS: Final = 16
BODY: Final = b'{"symbol":"BTCUSDT","side":"BUY","price":"27123.45","qty":"0.25"}'
HEAD: Final = b"POST /trade HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
REQUEST: Final = HEAD % len(BODY) + BODY
CREATED: Final = 201
STALL_SECONDS: Final = 30.0


class Connection:
    """One connection with at most one request in flight."""

    def __init__(self, port: int, request: bytes) -> None:
        """Connect without sending."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=STALL_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request
        self._received = b""
        self._due = 0.0

    def send(self, due: float) -> None:
        """Send the request that was due at a time."""
        self._received = b""
        self._due = due
        self.socket.sendall(self._request)

    def receive(self) -> tuple[int, float] | None:
        """Receive what has arrived; return the status and the seconds once the answer is complete."""
        chunk = self.socket.recv(65536)
        if not chunk:
            message = "the server closed the connection"
            raise ConnectionError(message)
        self._received += chunk
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return None
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        if len(body) < length:
            return None
        return int(head[9:12]), time.perf_counter() - self._due


def run(port: int, count: int, request: bytes, status: int, rate: float) -> dict[str, float]:
    """Send ``count`` requests; return requests per second, percentiles in ms, and the number answered as expected.

    A rate of 0 is full speed.
    """
    delays: list[float] = []
    expected = sent = 0
    with selectors.DefaultSelector() as selector:
        idle = [Connection(port, request) for _ in range(min(CONNECTIONS, count))]
        for connection in idle:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        began = progress = time.perf_counter()
        while len(delays) < count:
            now = time.perf_counter()
            while idle and sent < count and (not rate or began + sent / rate <= now):
                idle.pop().send(began + sent / rate if rate else now)
                sent += 1
            wait = STALL_SECONDS if not rate or sent == count or not idle else began + sent / rate - now
            for key, _ in selector.select(max(0.0, wait)):
                answer = key.data.receive()
                if answer is not None:
                    idle.append(key.data)
                    expected += answer[0] == status
                    delays.append(answer[1])
                    progress = time.perf_counter()
            if time.perf_counter() - progress > STALL_SECONDS:
                message = f"no answer within {STALL_SECONDS} s"
                raise TimeoutError(message)
        seconds = time.perf_counter() - began
        for key in selector.get_map().values():
            key.data.socket.close()
    delays.sort()
    median, p99 = (delays[int(count * part)] * 1000 for part in (0.5, 0.99))
    return {"rate": count / seconds, "median_ms": median, "p99_ms": p99, "expected": expected}


def main() -> None:
    """Send, and print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.load")
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--request", type=Path, help="a file with the whole request; a trade as JSON without it")
    parser.add_argument("--status", type=int, default=CREATED, help="the status that is expected")
    parser.add_argument("--rate", type=float, default=0, help="requests a second; as many as possible without it")
    given = parser.parse_args()
    request = given.request.read_bytes() if given.request else REQUEST
    sys.stdout.write(json.dumps(run(given.port, given.count, request, given.status, given.rate)))


if __name__ == "__main__":
    main()

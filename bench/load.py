"""Posts one trade repeatedly over keep-alive connections, at full speed: ``python -m bench.load PORT COUNT``."""

import json
import selectors
import socket
import sys
import time

CONNECTIONS = 16
BODY = b'{"symbol":"BTCUSDT","side":"BUY","price":"27123.45","qty":"0.25"}'
HEAD = b"POST /trade HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
REQUEST = HEAD % len(BODY) + BODY
STALL_SECONDS = 30


class Connection:
    """One connection with one request in flight."""

    def __init__(self, port: int) -> None:
        """Connect without sending."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=STALL_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self._sent_at = 0.0

    def send(self) -> None:
        """Send the request."""
        self._received = b""
        self._sent_at = time.perf_counter()
        self.socket.sendall(REQUEST)

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
        return int(head[9:12]), time.perf_counter() - self._sent_at


def run(port: int, count: int) -> dict[str, float]:
    """Send ``count`` requests; return requests per second, the 99th percentile in ms, and the number answered 201."""
    delays: list[float] = []
    created = 0
    left = count - CONNECTIONS
    began = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for _ in range(CONNECTIONS):
            connection = Connection(port)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send()
        while len(delays) < count:
            ready = selector.select(STALL_SECONDS)
            if not ready:
                message = f"no answer within {STALL_SECONDS} s"
                raise TimeoutError(message)
            for key, _ in ready:
                answer = key.data.receive()
                if answer is None:
                    continue
                created += answer[0] == 201  # noqa: PLR2004 - Created
                delays.append(answer[1])
                if left > 0:
                    left -= 1
                    key.data.send()
    seconds = time.perf_counter() - began
    delays.sort()
    return {"rate": count / seconds, "p99_ms": delays[int(count * 0.99)] * 1000, "created": created}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(int(sys.argv[1]), int(sys.argv[2]))))

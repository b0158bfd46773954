"""Many viewers of the live feed in one process: ``python -m bench.viewers PORT COUNT``.

It reads commands, one a line: ``begin SEQ`` waits until each viewer has the trades up to SEQ and forgets the delays so
far, ``end SEQ`` waits again and writes delays and faults as JSON. Some viewers note each id and each delay; of the
others the trades are counted, since reading each would take more processor time than sending it.
"""

import json
import selectors
import socket
import sys
import threading
import time
from datetime import datetime
from statistics import median, quantiles
from typing import Final

EVERY: Final = 40
"""One in so many notes everything."""

SETTLE_SECONDS: Final = 20.0
RECEIVE_BYTES: Final = 262_144
TRADE: Final = b"\nevent: trade\n"


class Viewer:
    """One open feed."""

    def __init__(self, port: int, *, notes: bool) -> None:
        """Open it, from the journal's beginning."""
        self.notes = notes
        self.trades = 0
        self.ids: list[int] = []
        self.delays: list[float] = []
        self._rest = b""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.sendall(b"GET /feed HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 0\r\n\r\n")
        self.socket.setblocking(False)  # noqa: FBT003 - the standard library has it so

    def receive(self) -> None:
        """Take what has arrived. Raises ConnectionError when the feed has ended."""
        chunk = self.socket.recv(RECEIVE_BYTES)
        if not chunk:
            message = "the feed ended"
            raise ConnectionError(message)
        whole, _, self._rest = (self._rest + chunk).rpartition(b"\n\n")
        self.trades += whole.count(TRADE)
        if self.notes and whole:
            self._note(whole)

    def _note(self, whole: bytes) -> None:
        now = time.time()
        for message in whole.split(b"\n\n"):
            head, is_trade, body = message.partition(TRADE)
            if is_trade:
                self.ids.append(int(head[head.rindex(b"id: ") + 4 :]))
                event = json.loads(body[body.index(b"data: ") + 6 :])
                self.delays.append(now - datetime.fromisoformat(event["accepted_at"]).timestamp())


class Viewers:
    """All viewers, read by one thread."""

    def __init__(self, port: int, count: int) -> None:
        """Open every feed."""
        self.viewers = [Viewer(port, notes=number % EVERY == 0) for number in range(count)]
        self.ended = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for viewer in self.viewers:
                selector.register(viewer.socket, selectors.EVENT_READ, viewer)
            while True:
                for key, _ in selector.select():
                    try:
                        key.data.receive()
                    except OSError:
                        selector.unregister(key.fileobj)
                        self.ended += 1

    def wait(self, last: int) -> None:
        """Wait until every viewer has so many trades, or give up."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline and any(viewer.trades < last for viewer in self.viewers):
            time.sleep(0.02)

    def begin(self, last: int) -> None:
        """Forget the delays until now."""
        self.wait(last)
        for viewer in self.viewers:
            viewer.delays.clear()

    def end(self, last: int) -> dict[str, float]:
        """Return the delays in ms since the beginning, and how many trades were missed or came twice until now."""
        self.wait(last)
        delays = [delay * 1000 for viewer in self.viewers for delay in viewer.delays]
        expected = list(range(1, last + 1))
        return {
            "median_ms": median(delays),
            "p95_ms": quantiles(delays, n=100)[94],
            "missed": sum(max(0, last - viewer.trades) for viewer in self.viewers),
            "twice": sum(max(0, viewer.trades - last) for viewer in self.viewers),
            "disordered": sum(viewer.ids != expected for viewer in self.viewers if viewer.notes),
            "ended": self.ended,
        }


def main() -> None:
    """Obey commands until the input ends."""
    viewers = Viewers(int(sys.argv[1]), int(sys.argv[2]))
    for line in sys.stdin:
        command, last = line.split()
        found: dict[str, float] = {}
        if command == "begin":
            viewers.begin(int(last))
        else:
            found = viewers.end(int(last))
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""The feed with many subscribers: ``python -m bench.feed``."""

import contextlib
import json
import selectors
import socket
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles

from bench.posting import Load, p99_ms
from tests.system.stack import Stack

SUBSCRIBERS = 200
RATE = 300
SECONDS = 20
RESTART_SUBSCRIBERS = 50
SETTLE_SECONDS = 20


class Subscribers:
    """Many feeds on one thread; records the ids that each receives, and of some the delays since acceptance.

    ``times`` are those of the first one, by the monotonic clock.
    """

    def __init__(self, port: int, count: int) -> None:
        """Keep the port; ``count`` feeds are opened on entry."""
        self.ids: list[list[int]] = [[] for _ in range(count)]
        self.delays: list[float] = []
        self.times: list[float] = []
        self.reconnects = 0
        self._port = port
        self._rest = [b""] * count
        self._ending = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Subscribers":  # noqa: PYI034 - it is final
        """Open every feed, from the journal's beginning."""
        for subscriber in range(len(self.ids)):
            self._open(subscriber)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close every feed."""
        self._ending.set()
        self._thread.join(30)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]

    def _open(self, subscriber: int) -> bool:
        after = self.ids[subscriber][-1] if self.ids[subscriber] else 0
        try:
            sock = socket.create_connection(("127.0.0.1", self._port), timeout=2)
            sock.sendall(b"GET /feed HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: %d\r\n\r\n" % after)
        except OSError:
            return False
        sock.setblocking(False)  # noqa: FBT003 - the standard library has it so
        self._rest[subscriber] = b""
        self._selector.register(sock, selectors.EVENT_READ, subscriber)
        return True

    def _run(self) -> None:
        away: set[int] = set()
        while not self._ending.is_set():
            away = {subscriber for subscriber in away if not self._open(subscriber)}
            for key, _ in self._selector.select(0.2):
                subscriber, sock = key.data, key.fileobj
                try:
                    chunk = sock.recv(262_144)  # type: ignore[union-attr]
                except OSError:
                    chunk = b""
                if not chunk:
                    self._selector.unregister(sock)
                    sock.close()  # type: ignore[union-attr]
                    self.reconnects += 1
                    away.add(subscriber)
                else:
                    self._take(subscriber, chunk)
            if away:
                time.sleep(0.05)

    def _take(self, subscriber: int, chunk: bytes) -> None:
        now, at = time.time(), time.monotonic()
        *messages, self._rest[subscriber] = (self._rest[subscriber] + chunk).split(b"\n\n")
        for message in messages:
            begin = message.find(b"id: ")
            if begin < 0 or b"event: trade" not in message:
                continue
            self.ids[subscriber].append(int(message[begin + 4 : message.index(b"\n", begin)]))
            if subscriber == 0:
                self.times.append(at)
            if subscriber % 10 == 0:
                event = json.loads(message[message.index(b"data: ") + 6 :])
                self.delays.append(now - datetime.fromisoformat(event["accepted_at"]).timestamp())

    def wait(self, last: int) -> None:
        """Wait until every feed has the seq ``last``."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline and not all(ids and ids[-1] >= last for ids in self.ids):
            time.sleep(0.05)

    def count_faults(self, last: int) -> int:
        """Count the feeds whose ids are not 1, 2, 3 … ``last``."""
        return sum(ids != list(range(1, last + 1)) for ids in self.ids)


def measure_load(stack: Stack, subscribers: int) -> None:
    """Post at RATE with a number of subscribers, and print the delays of delivery and of posting."""
    port = int(stack.settings["WEBAPP_HTTP_PORT"])
    with Subscribers(port, subscribers) as watching:
        # Events from before the measurement are not measured.
        watching.wait(stack.journalled())
        watching.delays.clear()
        with contextlib.ExitStack() as loads:
            posting = [loads.enter_context(Load(port, RATE / 4)) for _ in range(4)]
            time.sleep(SECONDS)
        last = stack.journalled()
        watching.wait(last)
        delays = [delay for load in posting for delay in load.delays]
        rate = len(delays) / SECONDS
        text = f"{subscribers} subscribers: {rate:.0f} trades/s, p99 of POST /trade {p99_ms(delays):.1f} ms"
        if subscribers:
            hundredths = quantiles(watching.delays, n=100)
            text += f"; delivery median {median(watching.delays) * 1000:.0f} ms, p95 {hundredths[94] * 1000:.0f} ms"
            text += f"; feeds with a gap or a duplicate: {watching.count_faults(last)}"
            text += f"; reconnects {watching.reconnects}"
        sys.stdout.write(text + "\n")


def measure_restart(stack: Stack) -> None:
    """Kill the web process under load and subscribers, twice, and print how many feeds missed or repeated events."""
    port = int(stack.settings["WEBAPP_HTTP_PORT"])
    with Subscribers(port, RESTART_SUBSCRIBERS) as watching:
        for _ in range(2):
            stack.accept(200)
            stack.find("web").kill()
            stack.stop("web")
            while True:
                with contextlib.suppress(AssertionError):
                    stack.start("web")
                    break
            stack.renew()
        stack.accept(200)
        last = stack.journalled()
        watching.wait(last)
        sys.stdout.write(
            f"web process killed twice under {RESTART_SUBSCRIBERS} subscribers: {last} trades,"
            f" {watching.reconnects} reconnects, feeds with a gap or a duplicate: {watching.count_faults(last)}\n"
        )


def main() -> None:
    """Measure and print."""
    for _ in range(2):
        for subscribers in (0, SUBSCRIBERS):
            with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), LOG_LEVEL="WARNING") as stack:
                stack.start()
                measure_load(stack, subscribers)
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        stack.start("web")
        stack.start("sidecar")
        measure_restart(stack)


if __name__ == "__main__":
    main()

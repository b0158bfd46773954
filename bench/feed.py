"""The feed under many viewers: ``python -m bench.feed``."""

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

from bench.retention import Load, p99_ms
from tests.system.stack import Stack

VIEWERS = 200
RATE = 300
SECONDS = 20
RESTART_VIEWERS = 50
SETTLE_SECONDS = 20


class Viewers:
    """Many feeds on one thread; each notes the ids that it gets, and how long after their acceptance."""

    def __init__(self, port: int, count: int) -> None:
        """Keep where to connect; ``count`` feeds are opened by ``run``."""
        self.ids: list[list[int]] = [[] for _ in range(count)]
        self.delays: list[float] = []
        self.reconnects = 0
        self._port = port
        self._rest = [b""] * count
        self._ending = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Viewers":  # noqa: PYI034 - it is final
        """Open every feed, from the journal's beginning."""
        for viewer in range(len(self.ids)):
            self._open(viewer)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close every feed."""
        self._ending.set()
        self._thread.join(30)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]

    def _open(self, viewer: int) -> bool:
        after = self.ids[viewer][-1] if self.ids[viewer] else 0
        try:
            sock = socket.create_connection(("127.0.0.1", self._port), timeout=2)
            sock.sendall(b"GET /feed HTTP/1.1\r\nHost: bench\r\nLast-Event-ID: %d\r\n\r\n" % after)
        except OSError:
            return False
        sock.setblocking(False)  # noqa: FBT003 - the standard library has it so
        self._rest[viewer] = b""
        self._selector.register(sock, selectors.EVENT_READ, viewer)
        return True

    def _run(self) -> None:
        away: set[int] = set()
        while not self._ending.is_set():
            away = {viewer for viewer in away if not self._open(viewer)}
            for key, _ in self._selector.select(0.2):
                viewer, sock = key.data, key.fileobj
                try:
                    chunk = sock.recv(262_144)  # type: ignore[union-attr]
                except OSError:
                    chunk = b""
                if not chunk:
                    self._selector.unregister(sock)
                    sock.close()  # type: ignore[union-attr]
                    self.reconnects += 1
                    away.add(viewer)
                else:
                    self._take(viewer, chunk)
            if away:
                time.sleep(0.05)

    def _take(self, viewer: int, chunk: bytes) -> None:
        now = time.time()
        *messages, self._rest[viewer] = (self._rest[viewer] + chunk).split(b"\n\n")
        for message in messages:
            begin = message.find(b"id: ")
            if begin < 0 or b"event: trade" not in message:
                continue
            self.ids[viewer].append(int(message[begin + 4 : message.index(b"\n", begin)]))
            if viewer % 10 == 0:
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


def measure_load(stack: Stack, viewers: int) -> None:
    """Post at RATE with so many viewers, and print delivery and the price of it."""
    port = int(stack.settings["WEBAPP_HTTP_PORT"])
    with Viewers(port, viewers) as watching:
        # What was there before belongs to no measurement.
        watching.wait(stack.journalled())
        watching.delays.clear()
        with contextlib.ExitStack() as loads:
            posting = [loads.enter_context(Load(port, RATE / 4)) for _ in range(4)]
            time.sleep(SECONDS)
        last = stack.journalled()
        watching.wait(last)
        delays = [delay for load in posting for delay in load.delays]
        text = f"{viewers} viewers: {len(delays) / SECONDS:.0f} trades/s, p99 of POST /trade {p99_ms(delays):.1f} ms"
        if viewers:
            hundredths = quantiles(watching.delays, n=100)
            text += f"; delivery median {median(watching.delays) * 1000:.0f} ms, p95 {hundredths[94] * 1000:.0f} ms"
            text += f"; feeds with a hole or a repeat: {watching.count_faults(last)}; reconnects {watching.reconnects}"
        sys.stdout.write(text + "\n")


def measure_restart(stack: Stack) -> None:
    """Kill the web process under load and viewers, twice, and print what the viewers missed."""
    port = int(stack.settings["WEBAPP_HTTP_PORT"])
    with Viewers(port, RESTART_VIEWERS) as watching:
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
            f"web process killed twice under {RESTART_VIEWERS} viewers: {last} trades,"
            f" {watching.reconnects} reconnects, feeds with a hole or a repeat: {watching.count_faults(last)}\n"
        )


def main() -> None:
    """Measure and print."""
    for _ in range(2):
        for viewers in (0, VIEWERS):
            with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), LOG_LEVEL="WARNING") as stack:
                stack.start()
                measure_load(stack, viewers)
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
        stack.start("web")
        stack.start("sidecar")
        measure_restart(stack)


if __name__ == "__main__":
    main()

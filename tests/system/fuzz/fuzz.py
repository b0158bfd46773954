"""A fuzz run: sends the inputs to a real stack, and checks the responses and the totals."""

import contextlib
import re
import socket
import sqlite3
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from common.wire.transport import Sender
from tests.system.fuzz.inputs import Input, Session, make_input
from tests.system.stack import Stack
from tests.waiting import wait_for
from tests.webapp.conftest import read_token

CLIENTS = 8
SECONDS = 20.0
SHOWN = 300
REJECTED = "sidecar_messages_rejected_total"
TRADES_COUNTED = "trading_trades_total"

_REPLY = re.compile(rb"(?=HTTP/1\.[01] [0-9]{3} )")
_KIND = re.compile(rb"\r\nContent-Type: (application/problem\+json|text/(html|plain); charset=utf-8)(\r\n|$)")


@dataclass
class Report:
    """The results of a run, with each failure."""

    seed: int
    inputs: Counter[str] = field(default_factory=Counter)
    replies: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    journalled: Counter[tuple[str, str]] = field(default_factory=Counter)
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    seconds: float = 0
    restarts: int = 0
    tracebacks: int = 0
    errors_logged: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def miscounts(self) -> int:
        """Differences between the trades accepted and journalled, and between those journalled and counted."""
        totals = self.journalled.keys() | self.counted.keys()
        uncounted = sum(abs(self.journalled[each] - self.counted[each]) for each in totals)
        return abs(self.journalled.total() - self.accepted) + uncounted

    @property
    def failed(self) -> bool:
        """Whether anything failed."""
        return bool(self.wrong or self.miscounts or self.restarts or self.tracebacks or self.errors_logged)

    def write(self) -> str:
        """Return the report as text."""
        total = sum(self.inputs.values())
        answers = ", ".join(f"{what} {number}" for what, number in sorted(self.replies.items()))
        lines = [
            f"{total} inputs (seed {self.seed}) in {self.seconds:.0f} s: {dict(sorted(self.inputs.items()))}",
            f"answers: {answers}",
            f"5xx other than 501, errors in an unexpected format, or no answer in {SECONDS:.0f} s: {len(self.wrong)}",
            f"process restarts: {self.restarts}, tracebacks: {self.tracebacks}, errors logged: {self.errors_logged}",
            f"trades accepted: {self.accepted}, journalled: {self.journalled.total()}, counted: {self.counted.total()}",
            f"miscounts: {self.miscounts}",
            f"rejected by the ZeroMQ port: {dict(sorted(self.rejected.items()))}",
        ]
        return "\n".join([*lines, *self.wrong[:20]])


class Fuzzer:
    """Sends each input once, from several threads."""

    def __init__(self, stack: Stack, seed: int, inputs: range) -> None:
        """Open the desk once, as a browser would, for a session cookie and a CSRF token."""
        self._stack = stack
        self._inputs = iter(inputs)
        self._lock = threading.Lock()
        self.report = Report(seed)
        with requests.Session() as browser:
            page = browser.get(stack.web_url, timeout=60).text
            cookie = f"trading_session={browser.cookies['trading_session']}"
        self._session = Session(cookie, read_token(page))
        self._ports = {
            "web": int(stack.settings["WEBAPP_HTTP_PORT"]),
            "sidecar": int(stack.settings["SIDECAR_HTTP_PORT"]),
            "peer": int(stack.settings["WEBAPP_ZMQ_ADDR"].rpartition(":")[2]),
        }
        self._sender = Sender(stack.settings["WEBAPP_ZMQ_ADDR"], stack.key_pair())

    def run(self) -> None:
        """Send all inputs."""
        threads = [threading.Thread(target=self._send_each) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._sender.close()

    def _send_each(self) -> None:
        while True:
            with self._lock:
                number = next(self._inputs, None)
            if number is None:
                return
            made = make_input(self.report.seed, number, self._session)
            if made.port == "hint":
                with self._lock:
                    self._sender.send(made.frames)
                    self.report.inputs["hint"] += 1
                continue
            self._record(number, made, self._exchange(number, made))

    def _exchange(self, number: int, made: Input) -> bytes | None:
        """Return all that the server sent; None when it did not close the connection in time."""
        # Each input has its own source address, or the ports would run out.
        source = (f"127.{number >> 14 & 127}.{number >> 7 & 127}.{number % 127 + 1}", 0)
        received, deadline = b"", time.monotonic() + SECONDS
        with socket.create_connection(("127.0.0.1", self._ports[made.port]), SECONDS, source) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError, OSError):
                connection.sendall(made.frames[0])
                connection.shutdown(socket.SHUT_WR)
            if made.port == "peer":
                return b""
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(1 << 16):
                    received += piece
                    # The feed ends only when the client disconnects.
                    if b"text/event-stream" in received[:2000]:
                        break
                    if time.monotonic() > deadline:
                        return None
        return received

    def _record(self, number: int, made: Input, received: bytes | None) -> None:
        replies = [] if received is None else _REPLY.split(received)[1:]
        statuses = [int(reply[9:12]) for reply in replies if not reply.startswith(b"HTTP/1.1 100")]
        accepted = sum(_is_accepted(reply) for reply in replies)
        wrong = received is None or not all(map(_is_valid, replies))
        with self._lock:
            report = self.report
            report.inputs[made.port] += 1
            report.replies.update(str(status) for status in statuses)
            report.replies["none"] += not statuses and made.port != "peer"
            report.accepted += accepted
            if wrong:
                what = "no answer" if received is None else str(statuses)
                answer = (received or b"")[:SHOWN]
                report.wrong.append(f"input {number}, {made.port}, {what}: {made.frames[0][:SHOWN]!r} -> {answer!r}")


def _is_valid(reply: bytes) -> bool:
    status = int(reply[9:12])
    if status < 400:
        return True
    kind = _KIND.search(reply.partition(b"\r\n\r\n")[0])
    return (status < 500 or status == 501) and kind is not None


def _is_accepted(reply: bytes) -> bool:
    head = reply.partition(b"\r\n\r\n")[0]
    return head.startswith((b"HTTP/1.1 201", b"HTTP/1.0 201", b"HTTP/1.1 303")) and b"Idempotent-Replayed" not in head


def _read_counts(stack: Stack) -> Counter[tuple[str, str]]:
    samples = [
        (dict(labels), int(value)) for (name, labels), value in stack.samples().items() if name == TRADES_COUNTED
    ]
    return Counter({(labels["symbol"], labels["side"]): value for labels, value in samples})


def _read_rejected(stack: Stack) -> Counter[str]:
    samples = [(dict(labels), int(value)) for (name, labels), value in stack.samples().items() if name == REJECTED]
    return Counter({labels["reason"]: value for labels, value in samples if value})


def run_fuzz(folder: Path, inputs: range, seed: int) -> Report:
    """Start a stack in ``folder``, and send it the inputs with these numbers."""
    # Every symbol needs its own series, so that counts can be compared by symbol.
    with Stack(folder, SYMBOL_LIMIT="100000") as stack:
        stack.start()
        processes = {stack.find("sidecar"), stack.find("web")} | stack.workers()
        fuzzer = Fuzzer(stack, seed, inputs)
        began = time.monotonic()
        fuzzer.run()
        report = fuzzer.report
        report.seconds = time.monotonic() - began
        with contextlib.closing(sqlite3.connect(stack.settings["JOURNAL_PATH"])) as journal:
            rows = journal.execute("SELECT symbol, side, count(*) FROM trades GROUP BY symbol, side").fetchall()
        report.journalled = Counter({(symbol, side): number for symbol, side, number in rows})
        with contextlib.suppress(AssertionError):
            wait_for(lambda: _read_counts(stack).total() >= report.journalled.total(), "all are counted", 10)
        report.counted = _read_counts(stack)
        report.rejected = _read_rejected(stack)
        # Prometheus drops a whole scrape for one invalid line.
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        text = requests.get(f"{stack.sidecar_url}/metrics", headers=accept, timeout=60).text
        assert list(text_string_to_metric_families(text))
        assert all(requests.get(f"{url}/readyz", timeout=60).ok for url in (stack.web_url, stack.sidecar_url))
        now = {stack.find("sidecar"), stack.find("web")} | stack.workers()
        report.restarts = len(processes - now)
        log = stack.log.read_text()
    report.tracebacks = log.count("Traceback") + log.count('"exc_info"')
    report.errors_logged = log.count('"level": "ERROR"') + log.count('"level": "CRITICAL"')
    return report

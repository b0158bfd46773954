"""The feed over real workers: across them, through their end, and past a client that does not read."""

import contextlib
import re
import socket
import threading
import time
from pathlib import Path

import pytest
import requests

from tape.journal import Journal
from tests.conftest import make_event
from tests.system.stack import Stack
from tests.waiting import wait_for


class Client(threading.Thread):
    """A client as a browser's EventSource is: it comes back by itself with the last id it saw."""

    def __init__(self, url: str, after: int) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.after = after
        self.seen: list[int] = []
        self.connected = 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            last = self.seen[-1] if self.seen else self.after
            with contextlib.suppress(requests.RequestException):
                self._watch(last)
            self.done.wait(0.2)

    def _watch(self, last: int) -> None:
        with requests.get(f"{self.url}/feed", headers={"Last-Event-ID": str(last)}, stream=True, timeout=10) as answer:
            if answer.status_code != 200:
                return
            self.connected += 1
            seq = 0
            for line in answer.iter_lines(chunk_size=None):
                if line.startswith(b"id: "):
                    seq = int(line[4:])
                elif line.startswith(b"data: ") and seq:
                    # A message counts once its data is here, as in a browser.
                    self.seen.append(seq)
                    seq = 0
                if self.done.is_set():
                    return


def feed_pids(stack: Stack) -> set[str]:
    """Tell which workers were asked for a feed."""
    return set(re.findall(r'"pid": (\d+), [^\n]*"route": "/feed"', stack.log.read_text()))


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)


def journalled(stack: Stack) -> list[int]:
    with Journal(Path(stack.settings["JOURNAL_PATH"])) as journal:
        return [event.seq for event in journal.read_after(0, 1_000_000)]


def test_fifty_clients_see_every_trade_once_through_kills_and_restarts_of_the_web(stack: Stack) -> None:
    with stack:
        stack.start("web")
        clients = [Client(stack.web_url, 0) for _ in range(50)]
        for client in clients:
            client.start()
        wait_for(lambda: all(client.connected for client in clients), "all clients are connected")
        for kill in (True, False, True):
            with stack.under_trades(100):
                count = stack.journalled()
                wait_for(lambda count=count: stack.journalled() > count + 50, "trades come in")  # type: ignore[misc]
                if kill:
                    master = stack.find("web")
                    for process in [master, *master.children()]:
                        process.kill()
                stack.stop("web")
            stack.start("web")
        stack.accept(5)
        expected = journalled(stack)
        wait_for(lambda: all(len(c.seen) >= len(expected) for c in clients), "each client has seen as many", 30)
        for client in clients:
            client.done.set()
        assert all(client.seen == expected for client in clients)
        assert all(client.connected >= 4 for client in clients)
        stack.accept(1)
        for client in clients:
            client.join(15)


def test_a_trade_of_one_worker_reaches_the_viewers_of_the_other(stack: Stack) -> None:
    with stack:
        stack.start("web")
        clients: list[Client] = []
        # Which worker takes a connection is chance.
        while len(feed_pids(stack)) < 2 and len(clients) < 60:
            clients.append(Client(stack.web_url, 0))
            clients[-1].start()
            wait_for(lambda: clients[-1].connected, "the client is connected")
        assert len(feed_pids(stack)) == 2
        stack.accept(10)
        wait_for(lambda: all(client.seen == list(range(1, 11)) for client in clients), "all see all", 5)
        began = time.monotonic()
        stack.stop("web")
        assert time.monotonic() - began < 4
        for client in clients:
            client.done.set()
            client.join(15)


def test_a_client_that_does_not_read_is_dropped_and_misses_nothing(stack: Stack) -> None:
    stack.settings["WEB_CONCURRENCY"] = "1"
    with stack:
        stack.start("web")
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", int(stack.settings["WEBAPP_HTTP_PORT"])))
            slow.sendall(b"GET /feed HTTP/1.1\r\nHost: desk\r\n\r\n")
            wait_for(lambda: '"route": "/feed"' in stack.log.read_text(), "the feed is open")
            rows = 40_000
            write_trades(stack, rows)
            wait_for(lambda: "viewer dropped" in stack.log.read_text(), "the slow client is dropped", 30)
        line = next(line for line in stack.log.read_text().splitlines() if "viewer dropped" in line)
        assert '"reason": "slow"' in line
        assert "Traceback" not in stack.log.read_text()
        client = Client(stack.web_url, 1)
        client.start()
        wait_for(lambda: len(client.seen) == rows - 1, "the client that comes back has all of it", 30)
        assert client.seen == list(range(2, rows + 1))
        client.done.set()
        stack.accept(1)
        client.join(15)


def write_trades(stack: Stack, count: int) -> None:
    """Write trades as other workers would, many at once."""
    with Journal(Path(stack.settings["JOURNAL_PATH"])) as journal:
        for first in range(0, count, 500):
            journal.append([make_event(0, id=f"id-{first + number}") for number in range(500)])

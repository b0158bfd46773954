"""The feed with real workers: several of them, restarts, and clients that read slowly or not at all."""

import contextlib
import itertools
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from common.journal.store import Journal
from common.timestamps import format_timestamp, now
from tests.conftest import append, make_event
from tests.system.feed_client import FeedClient
from tests.system.stack import Stack
from tests.waiting import wait_for

NARROW = 4096
"""A receive buffer in bytes, smaller than what the tests write."""

LONG = "123456789012345678.123456789012"
"""A price with so many digits that a chunk of trades exceeds the socket buffers."""

_numbers = itertools.count()


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Stack]:
    """Yield a running stack with one web worker."""
    with Stack(tmp_path, WEB_CONCURRENCY="1") as stack:
        yield stack.start()


def write_trades(stack: Stack, count: int, symbol: str = "BTCUSDT") -> int:
    """Append trades in one commit, as another worker would. Return the newest seq."""
    accepted_at = format_timestamp(now())
    with Journal(Path(stack.settings["JOURNAL_PATH"]), "normal") as journal:
        append(journal, [make_event(0, accepted_at=accepted_at, symbol=symbol, price=LONG) for _ in range(count)])
        return journal.last_seq()


def is_connected(stack: Stack, name: tuple[str, int]) -> bool:
    """Whether a worker still holds the connection of a client."""
    connections = [each for worker in stack.workers() for each in worker.net_connections("tcp")]
    return any(each.raddr == name and each.status == psutil.CONN_ESTABLISHED for each in connections)


def test_fifty_clients_receive_every_trade_once_across_kills_and_restarts(cold: Stack) -> None:
    cold.start("web")
    done = threading.Event()
    clients = [FeedClient(cold, 0) for _ in range(50)]
    threads = [threading.Thread(target=client.follow, args=(done,), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    wait_for(lambda: all(client.connected for client in clients), "all clients are connected")
    for kill in (True, False, True):
        with cold.under_trades(100):
            count = cold.journalled()
            wait_for(lambda count=count: cold.journalled() > count + 50, "trades are accepted")  # type: ignore[misc]
            if kill:
                master = cold.find("web")
                for process in [master, *master.children()]:
                    process.kill()
            cold.stop("web")
        cold.start("web")
    cold.accept(5)
    last = cold.journalled()
    wait_for(
        lambda: all(client.ids[-1:] == [last] for client in clients), "each client has received the last trade", 30
    )
    done.set()
    for thread in threads:
        thread.join(15)
    assert all(client.ids == list(range(1, last + 1)) for client in clients)
    assert all(client.connected >= 4 for client in clients)


def test_a_trade_of_one_worker_reaches_the_clients_of_the_other(cold: Stack) -> None:
    cold.start("web")
    workers = sorted(cold.workers(), key=lambda worker: worker.pid)
    assert len(workers) == 2
    with contextlib.ExitStack() as opened:
        clients = []
        for worker in workers:
            with cold.only(worker):
                clients.append(opened.enter_context(FeedClient(cold, 0)))
                # The worker may still be starting.
                wait_for(lambda client=clients[-1]: client.read() and client.connected, "it is connected", 30)  # type: ignore[misc]
        for worker in workers:
            with cold.only(worker):
                cold.renew()
                cold.accept(5)
        for client in clients:
            assert client.read_to(10) == 0
            assert client.ids == list(range(1, 11))
        cold.stop("web")
        assert "sending SIGKILL" not in cold.log.read_text()
        for client in clients:
            client.read_to_end()


def test_a_client_that_does_not_read_is_disconnected_and_counted_and_resumes(tmp_path: Path) -> None:
    with Stack(tmp_path, WEB_CONCURRENCY="1", BODY_TIMEOUT="1") as one:
        check_disconnect_and_resume(one.start())


def check_disconnect_and_resume(one: Stack) -> None:
    with FeedClient(one, buffer=NARROW) as client:
        client.read()
        last = write_trades(one, 40_000)
        wait_for(lambda: one.total("webapp_connections_dropped_total", reason="write_timeout") == 1, "it is counted")
        wait_for(lambda: not is_connected(one, client.name), "its connection is closed")
        assert client.read_to(last) >= 1
        assert client.ids == list(range(1, last + 1))
    line = next(line for line in one.log.read_text().splitlines() if "connection dropped" in line)
    assert '"reason": "write_timeout"' in line
    assert "Traceback" not in one.log.read_text()


def test_a_stop_does_not_wait_for_clients_that_do_not_read(one: Stack) -> None:
    write_trades(one, 40_000)
    clients = [FeedClient(one, 0, NARROW) for _ in range(3)]
    for client in clients:
        client.connect()
    wait_for(lambda: one.total("webapp_feed_subscribers") == 3, "they are connected")
    one.stop()
    assert "sending SIGKILL" not in one.log.read_text()
    for client in clients:
        client.close()


def test_reloads_during_history_cause_no_gap(one: Stack) -> None:
    write_trades(one, 40_000)
    with one.under_trades(100), FeedClient(one, 0, NARROW) as client:
        for seq in (5_000, 10_000, 15_000):
            client.read_to(seq, 16_384, pause=0.01)
            one.find("web").send_signal(signal.SIGHUP)
            client.read_to_end(16_384)
            client.connect()
        client.read_to(40_100)
        assert client.ids == list(range(1, client.ids[-1] + 1))


def test_a_long_history_is_sent_on_one_connection_while_trades_arrive(one: Stack) -> None:
    write_trades(one, 30_000)
    with one.under_trades(50), FeedClient(one, 0, 65_536) as client:
        assert client.read_to(30_100, pause=0.03) == 0
        assert client.ids == list(range(1, client.ids[-1] + 1))
    assert one.total("webapp_connections_dropped_total") == 0


SIZES = [0, 1, 499, 500, 501, 999, 1000, 1001, 1499, 1500, 1501, 2500]


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a running stack with one web worker, shared by the tests of history sizes."""
    with Stack(tmp_path_factory.mktemp("stack"), WEB_CONCURRENCY="1") as stack:
        yield stack.start("web")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("read", [0, 100, 600])
def test_trades_accepted_while_a_slow_client_reads_its_history_arrive_once(
    one_worker: Stack, size: int, read: int
) -> None:
    first = write_trades(one_worker, size) - size
    with FeedClient(one_worker, first, NARROW) as client:
        # After a partial read the rest of the history fills the buffers and blocks.
        client.read(1)
        while len(client.ids) < min(size, read):
            client.read(4096)
        for _ in range(6):
            last = write_trades(one_worker, 500)
        assert client.read_to(last, 16_384) == 0
        last = write_trades(one_worker, 10)
        assert client.read_to(last) == 0
        assert client.ids == list(range(first + 1, last + 1))


@pytest.mark.parametrize("size", SIZES)
def test_a_slow_client_of_one_symbol_receives_each_of_its_trades_once(one_worker: Stack, size: int) -> None:
    first = one_worker.journalled()
    wanted = list(range(first + 1, write_trades(one_worker, size, "RARE") + 1))
    write_trades(one_worker, 3_000)
    with FeedClient(one_worker, first, NARROW, "?symbol=RARE") as client:
        client.read(1)
        for _ in range(6):
            write_trades(one_worker, 500, "FREQUENT")
            last = write_trades(one_worker, 300, "RARE")
            wanted += range(last - 299, last + 1)
        assert client.read_to(last, 16_384) == 0
        write_trades(one_worker, 1_500)
        wanted.append(write_trades(one_worker, 1, "RARE"))
        assert client.read_to(wanted[-1]) == 0
        assert client.ids == wanted

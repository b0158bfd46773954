"""The feed over real workers: across them, through their end, and past viewers that do not read."""

import itertools
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from common.journal.store import Journal
from common.timestamps import format_timestamp, now
from tests.conftest import make_event
from tests.system.stack import Stack
from tests.system.watching import Watcher
from tests.waiting import wait_for

STOP_SECONDS = 4
NARROW = 4096
"""Bytes of a kernel's buffer: too few for what a test then writes."""

LONG = "123456789012345678.123456789012"
"""A price of so many digits that one chunk of trades does not fit into the buffers."""

_numbers = itertools.count()


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Stack]:
    """Give a running web process of one worker."""
    with Stack(tmp_path, WEB_CONCURRENCY="1") as stack:
        yield stack.start()


def write_trades(stack: Stack, count: int, symbol: str = "BTCUSDT") -> int:
    """Write trades as another worker would, many at once; gives the newest seq."""
    moment = format_timestamp(now())
    with Journal(Path(stack.settings["JOURNAL_PATH"]), "normal") as journal:
        journal.append(
            [
                make_event(0, id=f"other-{next(_numbers):030}", accepted_at=moment, symbol=symbol, price=LONG)
                for _ in range(count)
            ]
        )
        return journal.last_seq()


def feed_pids(stack: Stack) -> set[str]:
    """Tell which workers were asked for a feed."""
    return set(re.findall(r'"pid": (\d+), [^\n]*"route": "/feed"', stack.log.read_text()))


def is_connected(stack: Stack, name: tuple[str, int]) -> bool:
    """Tell whether a worker still holds the connection of a viewer."""
    connections = [each for worker in stack.workers() for each in worker.net_connections("tcp")]
    return any(each.raddr == name and each.status == psutil.CONN_ESTABLISHED for each in connections)


def test_fifty_viewers_see_every_trade_once_through_kills_and_restarts_of_the_web(cold: Stack) -> None:
    cold.start("web")
    done = threading.Event()
    viewers = [Watcher(cold, 0) for _ in range(50)]
    threads = [threading.Thread(target=viewer.follow, args=(done,), daemon=True) for viewer in viewers]
    for thread in threads:
        thread.start()
    wait_for(lambda: all(viewer.connected for viewer in viewers), "all viewers are connected")
    for kill in (True, False, True):
        with cold.under_trades(100):
            count = cold.journalled()
            wait_for(lambda count=count: cold.journalled() > count + 50, "trades come in")  # type: ignore[misc]
            if kill:
                master = cold.find("web")
                for process in [master, *master.children()]:
                    process.kill()
            cold.stop("web")
        cold.start("web")
    cold.accept(5)
    last = cold.journalled()
    wait_for(lambda: all(viewer.ids[-1:] == [last] for viewer in viewers), "each viewer has seen the last", 30)
    done.set()
    for thread in threads:
        thread.join(15)
    assert all(viewer.ids == list(range(1, last + 1)) for viewer in viewers)
    assert all(viewer.connected >= 4 for viewer in viewers)


def test_a_trade_of_one_worker_reaches_the_viewers_of_the_other(cold: Stack) -> None:
    cold.start("web")
    viewers: list[Watcher] = []
    # Which worker takes a connection is chance.
    while len(feed_pids(cold)) < 2 and len(viewers) < 60:
        viewers.append(Watcher(cold, 0))
        viewers[-1].connect()
        viewers[-1].read()
    assert len(feed_pids(cold)) == 2
    cold.accept(10)
    for viewer in viewers:
        assert viewer.read_to(10) == 0
        assert viewer.ids == list(range(1, 11))
    cold.stop("web", STOP_SECONDS)
    for viewer in viewers:
        viewer.read_to_end()
        viewer.close()


def test_a_viewer_that_takes_nothing_is_cut_off_and_counted_and_resumes(tmp_path: Path) -> None:
    with Stack(tmp_path, WEB_CONCURRENCY="1", BODY_TIMEOUT="1") as one:
        cut_off_and_resume(one.start())


def cut_off_and_resume(one: Stack) -> None:
    with Watcher(one, buffer=NARROW) as viewer:
        viewer.read()
        last = write_trades(one, 40_000)
        wait_for(lambda: one.total("webapp_connections_dropped_total", reason="write_timeout") == 1, "it is counted")
        wait_for(lambda: not is_connected(one, viewer.name), "its connection is closed")
        assert viewer.read_to(last) >= 1
        assert viewer.ids == list(range(1, last + 1))
    line = next(line for line in one.log.read_text().splitlines() if "connection dropped" in line)
    assert '"reason": "write_timeout"' in line
    assert "Traceback" not in one.log.read_text()


def test_a_stop_does_not_wait_for_viewers_that_take_nothing(one: Stack) -> None:
    write_trades(one, 40_000)
    viewers = [Watcher(one, 0, NARROW) for _ in range(3)]
    for viewer in viewers:
        viewer.connect()
    wait_for(lambda: one.total("webapp_feed_subscribers") == 3, "they are let in")
    one.stop("", STOP_SECONDS)
    for viewer in viewers:
        viewer.close()


def test_reloads_in_the_middle_of_history_leave_no_hole(one: Stack) -> None:
    write_trades(one, 40_000)
    with one.under_trades(100), Watcher(one, 0, NARROW) as viewer:
        for seq in (5_000, 10_000, 15_000):
            viewer.read_to(seq, 16_384, pause=0.01)
            one.find("web").send_signal(signal.SIGHUP)
            viewer.read_to_end(16_384)
            viewer.connect()
        viewer.read_to(40_100)
        assert viewer.ids == list(range(1, viewer.ids[-1] + 1))


def test_a_long_history_is_told_on_one_connection_while_trades_come(one: Stack) -> None:
    write_trades(one, 30_000)
    with one.under_trades(50), Watcher(one, 0, 65_536) as viewer:
        assert viewer.read_to(30_100, pause=0.03) == 0
        assert viewer.ids == list(range(1, viewer.ids[-1] + 1))
    assert one.total("webapp_connections_dropped_total") == 0


SIZES = [0, 1, 499, 500, 501, 999, 1000, 1001, 1499, 1500, 1501, 2500]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Give a running web process of one worker that the tests of history sizes share."""
    with Stack(tmp_path_factory.mktemp("stack"), WEB_CONCURRENCY="1") as stack:
        yield stack.start("web")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("taken", [0, 100, 600])
def test_what_arrives_while_a_slow_client_takes_its_history_comes_once(kept: Stack, size: int, taken: int) -> None:
    first = write_trades(kept, size) - size
    with Watcher(kept, first, NARROW) as viewer:
        # It takes a part, so the rest of its history fills the buffers and waits.
        viewer.read(1)
        while len(viewer.ids) < min(size, taken):
            viewer.read(4096)
        for _ in range(6):
            last = write_trades(kept, 500)
        assert viewer.read_to(last, 16_384) == 0
        last = write_trades(kept, 10)
        assert viewer.read_to(last) == 0
        assert viewer.ids == list(range(first + 1, last + 1))


@pytest.mark.parametrize("size", SIZES)
def test_a_slow_client_of_one_symbol_gets_each_of_its_trades_once(kept: Stack, size: int) -> None:
    first = kept.journalled()
    wanted = list(range(first + 1, write_trades(kept, size, "RARE") + 1))
    write_trades(kept, 3_000)
    with Watcher(kept, first, NARROW, "?symbol=RARE") as viewer:
        viewer.read(1)
        for _ in range(6):
            write_trades(kept, 500, "LOUD")
            last = write_trades(kept, 300, "RARE")
            wanted += range(last - 299, last + 1)
        assert viewer.read_to(last, 16_384) == 0
        write_trades(kept, 1_500)
        wanted.append(write_trades(kept, 1, "RARE"))
        assert viewer.read_to(wanted[-1]) == 0
        assert viewer.ids == wanted

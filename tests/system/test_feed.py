"""The feed over real workers: across them, through their end, and past viewers that do not read."""

import itertools
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tape.event import now, write_instant
from tape.journal import Journal
from tests.conftest import make_event
from tests.system.stack import Stack
from tests.system.watching import Watcher
from tests.waiting import wait_for

STOP_SECONDS = 4
NARROW = 4096
"""Bytes of a kernel's buffer: too few for what a test then writes."""

_numbers = itertools.count()


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Stack]:
    """Give a running web process of one worker."""
    with Stack(tmp_path, WEB_CONCURRENCY="1") as stack:
        yield stack.start()


def write_trades(stack: Stack, count: int) -> int:
    """Write trades as another worker would, many at once; gives the newest seq."""
    moment = write_instant(now())
    with Journal(Path(stack.settings["JOURNAL_PATH"]), "normal") as journal:
        journal.append([make_event(0, id=f"other-{next(_numbers)}", accepted_at=moment) for _ in range(count)])
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


def test_a_viewer_that_takes_nothing_is_cut_off_and_counted_and_resumes(one: Stack) -> None:
    with Watcher(one, buffer=NARROW) as viewer:
        viewer.read()
        last = write_trades(one, 40_000)
        wait_for(lambda: one.total("webapp_feed_dropped_total", reason="slow") == 1, "it is counted", 30)
        wait_for(lambda: not is_connected(one, viewer.name), "its connection is closed")
        assert viewer.read_to(last) >= 1
        assert viewer.ids == list(range(1, last + 1))
    line = next(line for line in one.log.read_text().splitlines() if "viewer dropped" in line)
    assert '"reason": "slow"' in line
    assert "Traceback" not in one.log.read_text()


def test_a_stop_does_not_wait_for_viewers_that_take_nothing(one: Stack) -> None:
    write_trades(one, 40_000)
    viewers = [Watcher(one, 0, NARROW) for _ in range(3)]
    for viewer in viewers:
        viewer.connect()
    wait_for(lambda: one.total("webapp_feed_viewers") == 3, "they are let in")
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
    assert one.total("webapp_feed_dropped_total") == 0

"""``gunicorn --preload``: the application is made before the fork, and each worker opens what it uses after it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests

from tests.system.feed_client import FeedClient
from tests.system.stack import TRADE, Stack
from tests.waiting import wait_for

CLIENTS = 16
TRADES = 5
ROUTES = ("/", "/trades", "/market", "/blotter", "/pipeline", "/readyz", "/metrics")


@pytest.fixture
def preloaded(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, GUNICORN_CMD_ARGS="--preload") as stack:
        yield stack.start()


def use_routes(stack: Stack) -> int:
    """Read every page and send trades, on one connection; return the status of each trade."""
    with requests.Session() as session:
        for route in ROUTES:
            assert session.get(stack.web_url + route, timeout=60).status_code == 200
        statuses = {session.post(f"{stack.web_url}/trade", json=TRADE, timeout=60).status_code for _ in range(TRADES)}
    (status,) = statuses
    return status


def count_answers(stack: Stack) -> float:
    return stack.total("webapp_http_requests_total", route="/trade", status="201")


def list_files(process: psutil.Process, path: str) -> list[str]:
    return [each.path for each in process.open_files() if each.path.startswith(path)]


def test_preloaded_workers_accept_count_and_feed_trades_and_so_do_those_that_replace_them(preloaded: Stack) -> None:
    for _ in range(3):
        before = preloaded.journalled()
        last = before + CLIENTS * TRADES
        with FeedClient(preloaded, before) as client, ThreadPoolExecutor(CLIENTS) as clients:
            # All at once: each client may be the first that needs something in its worker.
            assert list(clients.map(use_routes, [preloaded] * CLIENTS)) == [201] * CLIENTS
            assert client.read_to(last) == 0
            assert client.ids == list(range(before + 1, last + 1))
        preloaded.wait_counted(last)
        wait_for(lambda: count_answers(preloaded) == last, "the answers of both workers are counted")  # noqa: B023 - waited for here
        wait_for(lambda: preloaded.total("webapp_workers") == 2, "the killed workers are no longer listed")
        # What the master had open at the fork, its workers would share.
        assert list_files(preloaded.find("web"), preloaded.settings["JOURNAL_PATH"]) == []
        replace_workers(preloaded)
    assert "Traceback" not in preloaded.log.read_text()


def replace_workers(stack: Stack) -> None:
    """Kill every worker, and wait until others answer."""
    killed = stack.workers()
    for worker in killed:
        worker.kill()
    wait_for(lambda: len(stack.workers() - killed) == 2, "new workers are running")

    def is_ready() -> bool:
        try:
            return requests.get(f"{stack.web_url}/readyz", timeout=60).status_code == 200
        except requests.RequestException:
            return False

    wait_for(is_ready, "a new worker answers")

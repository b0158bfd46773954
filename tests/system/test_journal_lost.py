"""The journal's -wal and -shm are removed under a running stack, which is then killed."""

import contextlib
import sqlite3
from pathlib import Path

import psutil
import pytest
import requests

from tests.system.stack import Stack
from tests.waiting import wait_for


def ask_ready(stack: Stack) -> requests.Response:
    return requests.get(f"{stack.web_url}/readyz", timeout=60)


def kill(stack: Stack, *services: str) -> None:
    processes = [stack.find(service) for service in services]
    processes += stack.workers()
    for each in processes:
        each.kill()
    psutil.wait_procs(processes, 10)


@pytest.mark.parametrize("lost", [["-wal"], ["-shm"], ["-wal", "-shm"]], ids=str)
def test_accepted_trades_are_kept_when_the_wal_is_removed_and_all_is_killed(cold: Stack, lost: list[str]) -> None:
    cold.start("web")
    cold.start("sidecar").accept(16)
    path = cold.settings["JOURNAL_PATH"]
    for ending in lost:
        Path(f"{path}{ending}").unlink()

    def all_noticed() -> bool:
        # Enough requests to reach each worker.
        return all(ask_ready(cold).json().get("reason") == "replaced" for _ in range(20))

    wait_for(all_noticed, "each worker has noticed")
    for _ in range(20):
        cold.renew()
        rejected = cold.post()
        assert (rejected.status_code, rejected.json()["reason"]) == (503, "journal_replaced")
    kill(cold, "web", "sidecar")
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM trades").fetchone() == (16,)
    cold.stop("web")
    cold.stop("sidecar")
    cold.start("web")
    cold.start("sidecar").accept(4)
    cold.wait_counted(20)


def test_the_web_alone_saves_them_even_without_a_new_trade(cold: Stack) -> None:
    cold.start("web").accept(16)
    path = Path(cold.settings["JOURNAL_PATH"])
    Path(f"{path}-wal").unlink()

    # One worker that still has it open restores it for all.
    wait_for(lambda: "its -wal was removed" in cold.log.read_text(), "a worker has noticed")
    kill(cold, "web")
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM trades").fetchone() == (16,)

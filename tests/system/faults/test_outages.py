"""What a client and an operator see while one cause lasts, and after it."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from tests.conftest import require_program
from tests.system.faults.client import Client
from tests.system.faults.faults import filled, frozen, locked
from tests.system.faults.storm import mounted
from tests.system.stack import Stack
from tests.waiting import wait_for


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    require_program("mount")
    with mounted(tmp_path / "disk"):
        yield tmp_path / "disk"


@pytest.fixture
def web(tmp_path: Path, disk: Path) -> Iterator[Stack]:
    with Stack(tmp_path, JOURNAL_PATH=str(disk / "journal.db"), SNAPSHOT_PATH=str(disk / "snapshot")) as stack:
        stack.start("web")
        # With a second reader the journal's log stays, as it does in use, when a worker lets its connection go.
        yield stack.start("sidecar")


def expect_refusal(stack: Stack, reason: str) -> None:
    refused = stack.post()
    assert (refused.status_code, refused.json()["reason"]) == (503, f"journal_{reason}")
    assert refused.headers["Retry-After"] == "1"
    ready = requests.get(f"{stack.web_url}/readyz", timeout=10)
    assert (ready.status_code, ready.json()["reason"]) == (503, reason)
    lines = [json.loads(line[line.index("{") :]) for line in stack.log.read_text().splitlines() if "{" in line]
    said = [each for each in lines if each.get("request_id") == refused.headers["X-Request-ID"]]
    assert [each["message"] for each in said] == ["journal failed", "request"]
    assert said[0]["reason"] == reason


def expect_recovery(stack: Stack, before: int) -> None:
    def accepted() -> bool:
        return stack.post().status_code == 201

    wait_for(accepted, "trades are accepted again")
    # One answer serves for a quarter of a second.
    wait_for(lambda: requests.get(f"{stack.web_url}/readyz", timeout=10).status_code == 200, "the web is ready again")
    assert stack.journalled() == before + 1


def test_a_full_disk_refuses_trades_and_says_so_until_there_is_room(web: Stack, disk: Path) -> None:
    web.accept(5)
    with filled(disk):
        wait_for(lambda: web.post().status_code == 503, "the disk is full")
        before = web.journalled()
        expect_refusal(web, "full")
        assert requests.get(f"{web.web_url}/trades", timeout=10).status_code == 200
    expect_recovery(web, before)


def test_a_journal_locked_for_ten_seconds_refuses_trades_and_comes_back(web: Stack) -> None:
    web.accept(5)
    with locked(web):
        until = time.monotonic() + 10
        while time.monotonic() < until:
            expect_refusal(web, "locked")
    expect_recovery(web, 5)


def test_a_journal_on_a_disk_made_read_only_refuses_trades_until_it_can_be_written(
    tmp_path: Path, disk: Path, web: Stack
) -> None:
    web.accept(5)
    web.stop("web")
    web.stop("sidecar")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with Stack(tmp_path, **web.settings) as stack:
        stack.launch("web")

        def refused() -> bool:
            with contextlib.suppress(requests.ConnectionError):
                return stack.post().status_code == 503
            return False

        wait_for(refused, "trades are refused", 30)
        expect_refusal(stack, "readonly")
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        expect_recovery(stack, 5)


@pytest.mark.timeout(200)
def test_a_sidecar_frozen_for_thirty_seconds_costs_the_web_nothing_and_counts_all_after(cold: Stack) -> None:
    cold.start("web")
    cold.start("sidecar").accept(100)
    cold.wait_counted(100)
    workers = cold.workers()
    memory = {worker: worker.memory_info().rss for worker in workers}
    with Client(int(cold.settings["WEBAPP_HTTP_PORT"]), 200, seed=5) as client:
        with frozen(cold.find("sidecar")):
            until = time.monotonic() + 30
            while time.monotonic() < until:
                before = len(client.accepted)
                wait_for(lambda before=before: len(client.accepted) >= before + 100, "trades go on being accepted", 5)  # type: ignore[misc]
        client.finish()
        assert client.unanswered == 0
        assert not client.refused
        cold.wait_counted(100 + len(client.accepted), 30)
    assert cold.workers() == workers
    grown = max(worker.memory_info().rss - memory[worker] for worker in workers)
    assert grown < 64 * 1024 * 1024
    assert psutil.pid_exists(cold.find("sidecar").pid)


def test_requests_in_flight_at_a_stop_are_answered_or_never_happened(cold: Stack) -> None:
    cold.start("web")
    with Client(int(cold.settings["WEBAPP_HTTP_PORT"]), 400, seed=6) as client:
        for _ in range(3):
            count = len(client.accepted)
            wait_for(lambda count=count: len(client.accepted) > count + 100, "trades are accepted")  # type: ignore[misc]
            cold.stop("web", 4)
            cold.start("web")
        client.finish()
    assert not client.refused
    assert cold.journalled() >= len(client.accepted)
    listed = requests.get(f"{cold.web_url}/trades", params={"after": 0, "limit": 1000}, timeout=10).json()["trades"]
    assert {trade["id"] for trade in listed} <= client.accepted.keys()

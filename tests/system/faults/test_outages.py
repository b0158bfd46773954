"""What clients and operators see during an outage, and after it."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.conftest import ROOT, require_program
from tests.system.faults.client import Client
from tests.system.faults.faults import filled, frozen, locked
from tests.system.faults.storm import CLOCK, mounted
from tests.system.stack import TRADE, Stack
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
        # A second reader keeps the -wal file when a worker closes its connection, as in normal use.
        yield stack.start("sidecar")


def expect_rejection(stack: Stack, reason: str) -> None:
    response = stack.post()
    assert (response.status_code, response.json()["reason"]) == (503, f"journal_{reason}")
    assert response.headers["Retry-After"] == "1"
    ready = requests.get(f"{stack.web_url}/readyz", timeout=10)
    assert (ready.status_code, ready.json()["reason"]) == (503, reason)
    lines = [json.loads(line[line.index("{") :]) for line in stack.log.read_text().splitlines() if "{" in line]
    logged = [each for each in lines if each.get("request_id") == response.headers["X-Request-ID"]]
    assert [each["message"] for each in logged] == ["journal failed", "request"]
    assert logged[0]["reason"] == reason


def expect_recovery(stack: Stack, before: int) -> None:
    def accepted() -> bool:
        return stack.post().status_code == 201

    wait_for(accepted, "trades are accepted again")
    # Readiness is cached for 0.25 s.
    wait_for(lambda: requests.get(f"{stack.web_url}/readyz", timeout=10).status_code == 200, "the web is ready again")
    assert stack.journalled() == before + 1


def test_a_full_disk_rejects_trades_until_space_is_free(web: Stack, disk: Path) -> None:
    web.accept(5)
    with filled(disk):
        wait_for(lambda: web.post().status_code == 503, "the disk is full")
        before = web.journalled()
        expect_rejection(web, "full")
        assert requests.get(f"{web.web_url}/trades", timeout=10).status_code == 200
    expect_recovery(web, before)


def test_a_journal_locked_for_ten_seconds_rejects_trades_and_recovers(web: Stack) -> None:
    web.accept(5)
    with locked(web):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            expect_rejection(web, "locked")
    expect_recovery(web, 5)


def test_a_journal_on_a_read_only_disk_rejects_trades_until_it_is_writable(
    tmp_path: Path, disk: Path, web: Stack
) -> None:
    web.accept(5)
    web.stop("web")
    web.stop("sidecar")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with Stack(tmp_path, **web.settings) as stack:
        stack.launch("web")

        def is_rejected() -> bool:
            with contextlib.suppress(requests.RequestException):
                return stack.post().status_code == 503
            return False

        wait_for(is_rejected, "trades are rejected", 30)
        expect_rejection(stack, "readonly")
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        expect_recovery(stack, 5)


@pytest.mark.timeout(200)
def test_a_sidecar_frozen_for_thirty_seconds_does_not_affect_the_web_and_catches_up(cold: Stack) -> None:
    cold.start("web")
    cold.start("sidecar").accept(100)
    cold.wait_counted(100)
    workers, sidecar = cold.workers(), cold.find("sidecar")
    memory = {worker: worker.memory_info().rss for worker in workers}
    with Client(int(cold.settings["WEBAPP_HTTP_PORT"]), 200, seed=5) as client:
        with frozen(sidecar):
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                before = len(client.accepted)
                wait_for(lambda before=before: len(client.accepted) >= before + 100, "trades are still accepted", 30)  # type: ignore[misc]
        client.finish()
        assert client.unanswered == 0
        assert not client.rejected
        cold.wait_counted(100 + len(client.accepted), 30)
    assert cold.workers() == workers
    grown = max(worker.memory_info().rss - memory[worker] for worker in workers)
    assert grown < 64 * 1024 * 1024
    assert cold.find("sidecar") == sidecar


def test_requests_in_progress_at_a_stop_are_answered_or_have_no_effect(cold: Stack) -> None:
    cold.start("web")
    with Client(int(cold.settings["WEBAPP_HTTP_PORT"]), 400, seed=6) as client:
        for _ in range(3):
            count = len(client.accepted)
            wait_for(lambda count=count: len(client.accepted) > count + 100, "trades are accepted")  # type: ignore[misc]
            cold.stop("web")
            cold.start("web")
        client.finish()
    assert not client.rejected
    assert cold.journalled() >= len(client.accepted)
    listed = requests.get(f"{cold.web_url}/trades", params={"after": 0, "limit": 1000}, timeout=10).json()["trades"]
    assert len(listed) > 300
    assert {trade["id"] for trade in listed} <= client.accepted.keys()


def test_a_trade_sent_again_after_the_clock_stepped_by_400_days_is_counted_once(tmp_path: Path) -> None:
    clock = {"PYTHONPATH": f"{CLOCK}:{ROOT}", "CLOCK_FOLDER": str(tmp_path)}
    with Stack(tmp_path, JOURNAL_RETENTION="1h", **clock) as stack:
        stack.start("web")
        stack.start("sidecar")

        def send() -> requests.Response:
            return requests.post(
                f"{stack.web_url}/trade", json=TRADE, headers={"Idempotency-Key": "order-4711"}, timeout=60
            )

        first = send()
        stack.wait_counted(1)
        (tmp_path / "sidecar").write_text(str(400 * 86_400))
        # The pruner steps after each save; both snapshots have the trade after two.
        for count in range(2, 7):
            saved_at = stack.total("sidecar_snapshot_timestamp_seconds")
            stack.accept(1)
            stack.wait_counted(count)
            wait_for(
                lambda saved_at=saved_at: stack.total("sidecar_snapshot_timestamp_seconds") > saved_at,  # type: ignore[misc]
                "a snapshot is saved",
            )
        # As a client does whose first answer was lost.
        again = send()
        assert (again.headers["Idempotent-Replayed"], again.json()["id"]) == ("true", first.json()["id"])
        stack.wait_counted(6)

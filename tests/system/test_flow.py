"""From the request to the metrics, with the processes of the Procfile."""

import contextlib
import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psutil
import pytest
import requests

from sidecar.snapshot import write_snapshot
from tests.system.stack import REAL_TOTALS, TRADE, Stack
from tests.waiting import wait_for


def test_a_replay_of_real_trades_is_counted_to_the_last_digit(cold: Stack, real_data: list[Path]) -> None:
    cold.start()
    for file in real_data:
        done = cold.run_cli("replay", str(file), "--speed", "max")
        assert done.returncode == 0, done.stderr
        assert "accepted 1000, already there 0, rejected 0" in done.stdout
    cold.wait_counted(2000)
    for (symbol, side), (trades, quantity, notional) in REAL_TOTALS.items():
        labels = {"symbol": symbol, "side": side}
        assert cold.total("trading_trades_total", **labels) == trades
        assert cold.total("trading_quantity_total", **labels) == float(quantity)
        assert cold.total("trading_notional_total", **labels) == pytest.approx(float(notional), rel=1e-9)


@pytest.mark.parametrize("workers", ["1", "4"])
def test_the_first_trade_of_a_new_stack_is_counted_even_if_its_hint_is_lost(tmp_path: Path, workers: str) -> None:
    with Stack(tmp_path, WEB_CONCURRENCY=workers) as stack:
        stack.start().accept(1)
        stack.wait_counted(1, seconds=5)


def test_a_sidecar_that_starts_late_counts_what_it_missed(cold: Stack) -> None:
    cold.start("web").accept(1000)
    cold.start("sidecar")
    assert cold.total("trading_trades_total") == 1000
    assert cold.total("sidecar_lag_events") == 0
    wait_for(
        lambda: cold.total("sidecar_events_total", source="journal") == 1000, "a snapshot has the source of the events"
    )


def test_the_webapp_accepts_trades_while_the_sidecar_is_down(cold: Stack) -> None:
    cold.start("web").accept(3)
    assert requests.get(f"{cold.web_url}/readyz", timeout=60).status_code == 200
    assert cold.journalled() == 3


def has_new(stack: Stack, known: set[psutil.Process]) -> bool:
    return len(stack.workers() - known) == 2


def test_a_trade_is_counted_even_if_its_worker_is_killed_at_once(cold: Stack) -> None:
    cold.start("web")
    cold.start("sidecar")
    for killed in range(1, 4):
        assert cold.post().status_code == 201
        workers = cold.workers()
        for worker in workers:
            worker.kill()
        cold.wait_counted(killed)
        wait_for(partial(has_new, cold, workers), "new workers are running")


def test_a_killed_sidecar_resumes_from_its_snapshot(cold: Stack) -> None:
    cold.start("web")
    for round_ in range(1, 4):
        cold.start("sidecar")
        cold.accept(20)
        cold.wait_counted(20 * round_)
        cold.find("sidecar").kill()
        cold.stop("sidecar")
    cold.accept(5)
    cold.start("sidecar")
    assert cold.total("trading_trades_total") == 65


def test_a_sidecar_without_a_snapshot_recounts_the_journal(cold: Stack) -> None:
    cold.start("web").accept(30)
    cold.start("sidecar")
    wait_for((cold.folder / "snapshot.previous").exists, "there are two snapshots")
    cold.find("sidecar").kill()
    cold.stop("sidecar")
    for snapshot in cold.folder.glob("snapshot*"):
        snapshot.write_text("torn")
    cold.start("sidecar")
    cold.wait_counted(30)
    assert len(list(cold.folder.glob("snapshot*.version"))) == 2


def test_a_thousand_trades_sent_three_times_by_eight_clients_are_counted_once(cold: Stack) -> None:
    cold.start()
    numbers = [number for number in range(1000) for _ in range(3)]
    random.Random(7).shuffle(numbers)

    def send(session: requests.Session, number: int) -> str:
        trade = TRADE | {"price": str(number + 1)}
        url, headers = f"{cold.web_url}/trade", {"Idempotency-Key": f"order-{number}"}
        while (response := session.post(url, json=trade, headers=headers, timeout=60)).status_code == 409:
            assert response.json()["reason"] == "key_in_flight"
        assert response.status_code == 201
        return str(response.json()["id"])

    def send_part(part: int) -> list[str]:
        with requests.Session() as session:
            return [send(session, number) for number in numbers[part::8]]

    with ThreadPoolExecutor(8) as clients:
        ids = {each for part in clients.map(send_part, range(8)) for each in part}
    assert len(ids) == cold.journalled() == 1000
    cold.wait_counted(1000)


def test_a_restart_starts_from_the_snapshot(cold: Stack) -> None:
    cold.start().accept(10)
    cold.wait_counted(10)
    wait_for(lambda: cold.total("sidecar_events_total") == 10, "the snapshot has them")
    events = {source: cold.total("sidecar_events_total", source=source) for source in ("live", "journal")}
    cold.stop()
    assert (cold.folder / "snapshot").stat().st_size > 100
    cold.start()
    assert cold.total("trading_trades_total") == 10
    assert {source: cold.total("sidecar_events_total", source=source) for source in events} == events


def test_a_torn_snapshot_is_set_aside_and_the_journal_recounted(cold: Stack) -> None:
    cold.start("web").accept(10)
    (cold.folder / "snapshot").write_bytes(b"sidecar-snapshot/1 torn")
    cold.start("sidecar")
    assert cold.total("trading_trades_total") == 10
    assert (cold.folder / "snapshot.torn").exists()
    assert "snapshot set aside" in cold.log.read_text()


def test_a_snapshot_with_wrong_content_is_set_aside_and_the_previous_one_used(cold: Stack) -> None:
    cold.start("web").accept(10)
    cold.start("sidecar")
    cold.stop("sidecar")
    body = (cold.folder / "snapshot").read_bytes().partition(b"\n")[2]
    write_snapshot(cold.folder / "snapshot", body.replace(b'"last_seq":10,', b'"last_seq":9,'))
    cold.start("sidecar")
    assert cold.total("trading_trades_total") == 10
    assert (cold.folder / "snapshot.content").exists()


def test_garbage_on_the_zeromq_port_is_counted_and_changes_nothing(cold: Stack) -> None:
    cold.start().accept(5)
    cold.wait_counted(5)
    rng = random.Random(5)
    resources = contextlib.ExitStack()
    socket = resources.enter_context(cold.peer())

    def rejected() -> float:
        return cold.total("sidecar_messages_rejected_total")

    def probe() -> bool:
        socket.send(b"probe")
        return rejected() > 0

    wait_for(probe, "the connection is established")
    counts = [-1.0]

    def is_stable() -> bool:
        counts.append(rejected())
        return len(counts) > 6 and len(set(counts[-6:])) == 1

    wait_for(is_stable, "every probe is counted", every=0.5)
    before = rejected()
    kinds = [b"trades/1\n", b"trades/2\n", b"quotes\n"]
    for _ in range(10_000):
        frames = [rng.randbytes(rng.randrange(64)) for _ in range(rng.choice((1, 1, 2)))]
        if rng.random() < 0.6:
            frames[0] = rng.choice(kinds) + frames[0]
        socket.send_multipart(frames)
    wait_for(lambda: rejected() == before + 10_000, "all garbage is counted", 30)
    for reason in ("frames", "kind", "version", "body"):
        assert cold.total("sidecar_messages_rejected_total", reason=reason) > 0
    resources.close()
    assert cold.total("trading_trades_total") == 5
    cold.accept(5)
    cold.wait_counted(10)


def is_running(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        # In a container a process that has ended may stay a zombie until init reaps it.
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def test_the_stack_stops_in_under_four_seconds_with_clients_connected(cold: Stack) -> None:
    cold.start().accept(1)
    with requests.Session() as idle:
        idle.get(f"{cold.web_url}/healthz", timeout=60)
        processes = [cold.find("sidecar"), cold.find("web"), *cold.workers()]
        assert len(processes) == 4
        cold.stop(seconds=4)
    assert not any(map(is_running, processes))


def test_totals_are_right_with_many_workers_and_symbols(tmp_path: Path) -> None:
    with Stack(tmp_path, WEB_CONCURRENCY="4", SYMBOL_LIMIT="3", TRADING_SYMBOLS="ADAUSDT") as stack:
        stack.start()
        assert ("trading_trades_total", frozenset({("symbol", "ADAUSDT"), ("side", "SELL")})) in stack.samples()
        for number in range(60):
            stack.post(symbol=f"S{number % 6}", side="SELL" if number % 2 else "BUY")
        stack.wait_counted(60)
        assert stack.total("trading_trades_total", symbol="other") == 40
        assert stack.total("sidecar_symbols") == 3
        assert stack.total("sidecar_overflow_trades_total") == 40

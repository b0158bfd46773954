"""The commands, against a running stack."""

import re
from pathlib import Path

import pytest
import requests

from tests.system.stack import Stack, free_ports
from tests.waiting import wait_for


def test_a_simulation_is_accepted_and_totalled(shared: Stack) -> None:
    before = shared.journalled()
    done = shared.run_cli("simulate", "--count", "30", "--rate", "1000", "--seed", "1", "--symbols", "AAA,BBB")
    assert done.returncode == 0, done.stderr
    assert "accepted 30, rejected 0" in done.stdout
    assert "AAA" in done.stdout
    assert shared.journalled() == before + 30


def test_rejected_rows_are_listed_with_their_line_and_fail_the_command(shared: Stack, tmp_path: Path) -> None:
    file = tmp_path / "mixed.csv"
    file.write_text(
        "ts,symbol,side,price,qty\n"
        "2026-01-31T09:30:00Z,GOOD,BUY,1.10,2\n"
        "2026-01-31T09:30:00Z,BAD,BUY,-1,2\n"
        "yesterday,BAD,BUY,1,2\n"
    )
    done = shared.run_cli("replay", str(file))
    assert done.returncode == 1
    assert "accepted 1, rejected 2" in done.stdout
    assert f"{file}:3: 422 price: " in done.stderr
    assert f"{file}:4: 422 ts: " in done.stderr


def test_a_stack_that_is_down_is_reported(shared: Stack, tmp_path: Path) -> None:
    file = tmp_path / "one.csv"
    file.write_text("ts,symbol,side,price,qty\n2026-01-31T09:30:00Z,GOOD,BUY,1.10,2\n")
    (port,) = free_ports(1)
    done = shared.run_cli("replay", str(file), "--url", f"http://127.0.0.1:{port}")
    assert done.returncode == 1
    assert "is the stack up" in done.stderr
    assert "Traceback" not in done.stderr


def test_bad_options_are_rejected_by_name(shared: Stack, tmp_path: Path) -> None:
    file = tmp_path / "empty.csv"
    file.touch()
    for arguments, message in (
        (("replay", str(file)), "no column ts, symbol, side, price, qty"),
        (("replay", "missing.csv"), "missing.csv"),
        (("replay", str(file), "--speed", "fast"), '"fast"; expected a number above 0, or max'),
        (("replay", str(file), "--speed", "nan"), "expected a number above 0, or max"),
        (("replay", str(file), "--format", "xls"), "'xls' is not"),
        (("simulate", "--symbols", " , "), "expected symbols"),
        (("simulate", "--symbols", "A\tB"), r'"A\tB"; expected symbols'),
        (("simulate", "--rate", "0"), "--rate"),
    ):
        done = shared.run_cli(*arguments)
        assert done.returncode != 0
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_an_interrupted_replay_can_be_repeated(shared: Stack, tmp_path: Path) -> None:
    before = shared.journalled()
    head, row = "ts,symbol,side,price,qty\n", "2026-01-31T09:30:00Z,AGAIN,BUY,{},2\n"
    file = tmp_path / "long.csv"
    file.write_text(head + "".join(row.format(n + 1) for n in range(20)))
    assert "accepted 20, rejected 0" in shared.run_cli("replay", str(file)).stdout
    assert "accepted 20 (20 of them by an earlier attempt), rejected 0" in shared.run_cli("replay", str(file)).stdout
    assert shared.journalled() == before + 20
    assert "accepted 20, rejected 0" in shared.run_cli("replay", str(file), "--run", "again").stdout
    assert shared.journalled() == before + 40


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_a_simulation_outlives_a_restart_and_nothing_counts_twice(cold: Stack, tmp_path: Path, *, kill: bool) -> None:
    cold.start()
    count = 300
    with cold.launch_cli(tmp_path / "out", "simulate", "--rate", "40", "--count", str(count)) as simulation:
        wait_for(lambda: cold.journalled() >= 20, "some trades are accepted")
        if kill:
            for process in (cold.find("web"), *cold.workers()):
                process.kill()
        cold.stop()
        wait_for(lambda: "sending it again" in (tmp_path / "out").read_text(), "the loss is reported")
        cold.renew()
        cold.start()
        assert simulation.wait(60) == 0
    printed = (tmp_path / "out").read_text()
    assert re.search(rf"accepted {count}( \(1 of them by an earlier attempt\))?, rejected 0", printed)
    cold.wait_counted(count)
    assert cold.journalled() == count


def test_a_simulation_goes_on_from_the_last_price(shared: Stack) -> None:
    assert shared.post(symbol="ONWARD", price="7000000").status_code == 201
    assert shared.run_cli("simulate", "--count", "3", "--rate", "1000", "--symbols", "ONWARD").returncode == 0
    trades = requests.get(f"{shared.web_url}/trades", params={"symbol": "ONWARD"}, timeout=10).json()["trades"]
    assert all(6_900_000 < float(trade["price"]) < 7_100_000 for trade in trades)
    assert len(trades) == 4


def test_an_audit_of_a_correct_stack_succeeds(shared: Stack) -> None:
    shared.accept(5)
    shared.wait_counted(shared.journalled())
    done = shared.run_cli("audit")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"accepted {shared.journalled()} = counted {shared.journalled()} + in flight 0" in done.stdout
    assert "BTCUSDT" in done.stdout


def test_an_audit_of_another_sidecar_fails(shared: Stack, tmp_path: Path) -> None:
    with Stack(tmp_path) as other:
        other.start("web").accept(2)
        other.start("sidecar")
        done = shared.run_cli("audit", "--sidecar", other.sidecar_url)
    assert done.returncode == 1
    assert "DIFFERS" in done.stdout
    assert "THE BALANCE DOES NOT CLOSE" in done.stdout

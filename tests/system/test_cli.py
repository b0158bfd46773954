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
    assert "accepted 1, already there 0, rejected 2" in done.stdout
    assert f"{file}, line 3: column price: " in done.stderr
    assert f"{file}, line 4: column ts: " in done.stderr


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
        (("replay", str(file)), "line 1: it is empty"),
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
    assert "accepted 20, already there 0, rejected 0" in shared.run_cli("replay", str(file)).stdout
    assert "accepted 0, already there 20, rejected 0" in shared.run_cli("replay", str(file)).stdout
    assert shared.journalled() == before + 20
    assert "accepted 20, already there 0, rejected 0" in shared.run_cli("replay", str(file), "--run", "again").stdout
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
    trades = requests.get(f"{shared.web_url}/trades", params={"symbol": "ONWARD"}, timeout=60).json()["trades"]
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


def test_a_repaired_and_grown_file_counts_each_row_once(shared: Stack, tmp_path: Path) -> None:
    before = shared.journalled()
    rows = [f"2026-01-31T09:30:0{n}Z,REPAIR,BUY,{n + 1}.50,2\n" for n in range(6)]
    file, copy = tmp_path / "fills.csv", tmp_path / "renamed.csv"
    head, broken = "ts,symbol,side,price,qty\n", "2026-01-31T09:30:09Z,REPAIR,BUY,oops,2\n"
    file.write_text(head + "".join(rows[:3]) + broken + rows[0])
    rejects = tmp_path / "rejects.csv"
    done = shared.run_cli("replay", str(file), "--rejects", str(rejects))
    assert "accepted 4, already there 0, rejected 1" in done.stdout
    assert done.returncode == 1
    assert "line 5: column price: " in done.stderr
    assert rejects.read_text().startswith("5,")
    assert "oops" in rejects.read_text()
    repaired = "\ufeff" + head + "".join(rows[:3]) + broken.replace("oops", "7") + rows[0]
    copy.write_bytes(repaired.replace("\n", "\r\n").encode())
    assert "accepted 1, already there 4, rejected 0" in shared.run_cli("replay", str(copy)).stdout
    copy.write_text(head + "".join(rows))
    assert "accepted 3, already there 3, rejected 0" in shared.run_cli("replay", str(copy)).stdout
    assert shared.journalled() == before + 8
    assert "6 would be sent, rejected 0" in shared.run_cli("replay", str(copy), "--run", "x", "--dry-run").stdout
    assert shared.journalled() == before + 8


def test_a_killed_replay_goes_on_where_it_was(shared: Stack, tmp_path: Path) -> None:
    before = shared.journalled()
    file = tmp_path / "killed.csv"
    rows = [f"2026-01-31T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z,KILLED,SELL,{n + 1},1\n" for n in range(20_000)]
    file.write_text("ts,symbol,side,price,qty\n" + "".join(rows))
    for part in (2_000, 8_000, 12_000):
        with shared.launch_cli(tmp_path / "output", "replay", str(file)) as process:
            wait_for(lambda part=part: shared.journalled() >= before + part, "a part is accepted", 60)  # type: ignore[misc]
            process.kill()
    assert "rejected 0" in shared.run_cli("replay", str(file)).stdout
    assert shared.journalled() == before + 20_000
    done = shared.run_cli("replay", "-", "--dry-run")
    assert "standard input, line 1: it is empty" in done.stderr

from pathlib import Path

from tests.system.fuzz.fuzz import run_fuzz
from tests.system.fuzz.inputs import Session, make_input


def test_no_input_fails_and_each_trade_is_counted_once(tmp_path: Path) -> None:
    report = run_fuzz(tmp_path, range(1500), seed=2)
    assert not report.failed, report.write()
    assert report.accepted > 100
    assert sum(report.inputs.values()) == 1500
    assert {"unauthorised", "frames", "kind", "version", "body", "journal_id"} <= set(report.rejected)
    assert {"web", "sidecar", "peer", "hint"} == set(report.inputs)


def test_an_input_can_be_repeated() -> None:
    first, second = ([make_input(3, number, Session("a=b", "token")) for number in range(50)] for _ in range(2))
    assert first == second

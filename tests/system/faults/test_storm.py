"""Every fault once, under load; all totals agree afterwards."""

import os
from pathlib import Path

import pytest

from tests.conftest import require
from tests.system.faults.faults import FAULTS
from tests.system.faults.storm import run_storm


@pytest.mark.timeout(400)
def test_accepted_journalled_and_counted_trades_agree_after_every_fault(tmp_path: Path) -> None:
    require("root" if os.geteuid() == 0 else None, "the permission to mount a small disk")
    report = run_storm(tmp_path, faults=len(FAULTS), rate=200, seed=3)
    print(report.write())  # noqa: T201 - shown when the test fails
    assert set(report.faults) == set(FAULTS)
    assert report.accepted == report.journalled == report.counted == report.recounted
    assert report.pruned > 0
    assert report.differences == []
    assert report.decreased == []
    assert report.disappeared == []
    assert report.resets == 0
    assert "the balance closes" in report.audit

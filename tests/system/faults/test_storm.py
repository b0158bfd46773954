"""Every fault once, under load, and the balance closes."""

import os
from pathlib import Path

import pytest

from tests.conftest import require
from tests.system.faults.faults import FAULTS
from tests.system.faults.storm import run_storm


@pytest.mark.timeout(400)
def test_after_every_fault_accepted_is_journalled_is_counted(tmp_path: Path) -> None:
    require("root" if os.geteuid() == 0 else None, "the right to mount a small disk")
    report = run_storm(tmp_path, faults=len(FAULTS), rate=200, seed=3)
    print(report.write())  # noqa: T201 - shown when the test fails
    assert set(report.faults) == set(FAULTS)
    assert report.accepted == report.journalled == report.counted == report.recounted
    assert report.pruned > 0
    assert report.differences == []
    assert report.fell == []
    assert report.vanished == []
    assert report.resets == 0
    assert "the balance closes" in report.audit

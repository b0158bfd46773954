"""Readiness: a probe writes to the journal, so its result is shared, good or bad, and for a limited time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from common.errors import JournalError
from tests.waiting import wait_for
from webapp import readiness as readiness_module
from webapp.readiness import Readiness


class Probe:
    def __init__(self, reason: str = "") -> None:
        self.count = 0
        self.reason = reason

    def __call__(self) -> None:
        self.count += 1
        if self.reason:
            raise JournalError(self.reason, "no space left")


def ask(readiness: Readiness) -> str:
    try:
        readiness.check()
    except JournalError as error:
        return error.reason
    return "ready"


@pytest.mark.parametrize("reason", ["", "full"])
def test_callers_share_one_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    monkeypatch.setattr(readiness_module, "SHARED_SECONDS", 600)
    probe = Probe(reason)
    readiness = Readiness(probe, tmp_path / "journal.db")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(readiness), range(32)))
    assert (answers, probe.count) == ([reason or "ready"] * 32, 1)


def test_a_result_is_shared_for_a_limited_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness_module, "SHARED_SECONDS", 0.05)
    probe = Probe()
    readiness = Readiness(probe, tmp_path / "journal.db")
    assert ask(readiness) == "ready"
    probe.reason = "full"
    wait_for(lambda: ask(readiness) == "full", "the journal is probed again")

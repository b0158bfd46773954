"""The daemon opens the hub's journal and closes it."""

from pathlib import Path

import pytest

from common.settings import Settings
from relay.http_pull import HttpPull
from relay.hub import Hub


def test_the_hubs_journal_is_closed_when_pull_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Hub] = []
    close = Hub.close

    def watch(hub: Hub) -> None:
        closed.append(hub)
        close(hub)

    monkeypatch.setattr(Hub, "close", watch)
    with HttpPull(Settings(journal_path=tmp_path / "hub.db")).hub_opened() as hub:
        assert closed == []
    assert closed == [hub]

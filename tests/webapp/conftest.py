import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.journal.store import Journal
from common.settings import Settings
from tests.webapp.described import note_undescribed
from webapp import create_app
from webapp.cli.row_sender import Import, ReadyRow
from webapp.cli.text_file import TextFile
from webapp.cli.trade_formats import Wanted
from webapp.cli.trade_rows import read_rows
from webapp.services import services

GOOD = {"symbol": "BTCUSDT", "side": "BUY", "price": "27123.450", "qty": "0.25", "ts": "2026-01-31T09:30:00Z"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        secret_key="s" * 32, journal_path=tmp_path / "journal.db", webapp_zmq_addr=f"ipc://{tmp_path}/trades"
    )


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    app = create_app(settings)
    undescribed: list[str] = []
    app.after_request(partial(note_undescribed, undescribed))
    yield app
    services(app).close()
    assert undescribed == []


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def journal(settings: Settings) -> Iterator[Journal]:
    with Journal(settings.journal_path) as journal:
        yield journal


def read_csv(path: Path, run: str = "", **wanted: Any) -> tuple[list[ReadyRow], Import]:  # noqa: ANN401 - the fields of Wanted
    """Read the rows of a file as ``replay`` does, and what it rejects."""
    outcome = Import()
    opened = TextFile(str(path))
    try:
        return list(read_rows(opened, Wanted(**wanted), run, outcome, 3)), outcome
    finally:
        opened.close()


def read_token(page: str) -> str:
    found = re.search(r'name="csrf_token" type="hidden" value="([^"]+)"', page)
    assert found is not None
    return found[1]

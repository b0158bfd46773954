"""A journal that cannot be written: nothing is accepted, the reason is answered and logged, no restart is needed."""

import logging
import sqlite3

import pytest
from flask.testing import FlaskClient

from common.journal.store import Journal
from common.settings import Settings
from tests.webapp.conftest import GOOD, read_token


@pytest.fixture
def broken(settings: Settings) -> Settings:
    settings.journal_path.mkdir()
    return settings


def test_a_trade_is_rejected_with_503_until_the_journal_is_back(
    client: FlaskClient, broken: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    answer = client.post("/trade", json=GOOD)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert answer.json is not None
    assert answer.json["reason"].startswith("journal_")
    assert str(broken.journal_path) not in answer.text
    assert str(broken.journal_path) in next(r for r in caplog.records if r.message == "journal failed").detail  # type: ignore[attr-defined]
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json["status"] if ready.json else "") == (503, "not ready")
    assert client.get("/trades").status_code == 503
    assert client.get("/healthz").status_code == 200

    broken.journal_path.rmdir()
    assert client.get("/readyz").status_code == 200
    assert client.post("/trade", json=GOOD).status_code == 201
    assert len((client.get("/trades").json or {})["trades"]) == 1


def test_the_form_keeps_its_input(client: FlaskClient, settings: Settings) -> None:
    assert client.get("/").status_code == 200
    for path in settings.journal_path.parent.glob("journal.db*"):
        path.unlink()
    page = client.get("/")
    assert page.status_code == 200
    assert "The journal cannot be read" in page.text
    answer = client.post("/trade", data=GOOD | {"csrf_token": read_token(page.text)})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert 'value="27123.450"' in answer.text


def test_a_worker_that_never_read_the_journal_serves_nobody(client: FlaskClient, broken: Settings) -> None:
    # It cannot know whether it is locked.
    for path in ("/", "/trades", "/market", "/pipeline", "/metrics"):
        assert client.get(path).status_code == 503
    broken.journal_path.rmdir()
    assert client.get("/pipeline").status_code == 200


def test_with_a_locked_journal_a_worker_is_not_ready_and_gives_the_reason(
    client: FlaskClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Journal.__init__, "__defaults__", ("full", 0.05, None))
    Journal(settings.journal_path).open().close()
    writer = sqlite3.connect(settings.journal_path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert (ready.json or {})["reason"] == "locked"
    assert client.post("/trade", json=GOOD).status_code == 503
    assert client.get("/trades").status_code == 200
    writer.execute("ROLLBACK")
    writer.close()
    assert client.post("/trade", json=GOOD).status_code == 201

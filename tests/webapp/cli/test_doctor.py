"""``doctor`` names what is wrong, says what to do, and exits with 1; what is not set up is a note."""

import os
import socket
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common import __version__
from common.backups import name_backup
from common.journal.disk import DiskUsage
from common.journal.store import Journal
from common.settings import Settings
from tests.conftest import BUY, append
from tests.webapp.answers import serving
from webapp import create_app

Change = Callable[[Settings], Mapping[str, Any]]


def run_doctor(settings: Settings, **changes: object) -> tuple[int, str]:
    app = create_app(Settings(**{**vars(settings), **changes}))
    done = app.test_cli_runner().invoke(args=["doctor"])
    return done.exit_code, done.output


def test_what_is_not_set_up_is_a_note(fresh: Settings) -> None:
    code, printed = run_doctor(fresh)
    assert code == 0
    assert "FAIL" not in printed
    assert printed.endswith("nothing failed\n")
    for what in ("access", "journal", "snapshot", "backup", "copy", "web", "sidecar", "Prometheus", "Grafana"):
        assert f"note  {what}" in printed
    assert not fresh.journal_path.exists()


def break_nothing(_: Settings) -> Mapping[str, Any]:
    return {}


def widen(settings: Settings) -> Mapping[str, Any]:
    settings.journal_path.chmod(0o644)
    return {}


def link(settings: Settings) -> Mapping[str, Any]:
    moved = settings.journal_path.with_name("moved.db")
    settings.journal_path.rename(moved)
    settings.journal_path.symlink_to(moved)
    return {}


def put_other_database(settings: Settings) -> Mapping[str, Any]:
    settings.journal_path.unlink()
    with closing(sqlite3.connect(settings.journal_path)) as db:
        db.execute("CREATE TABLE a (b)")
    settings.journal_path.chmod(0o600)
    return {}


def damage(settings: Settings) -> Mapping[str, Any]:
    with settings.journal_path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    return {}


def give_token_to_all(settings: Settings) -> Mapping[str, Any]:
    file = settings.journal_path.with_name("token")
    file.write_text("a-token-that-others-can-read\n")
    file.chmod(0o644)
    return {"sidecar_token_file": file}


def make_old_backup(settings: Settings) -> Mapping[str, Any]:
    folder = settings.journal_path.with_name("backups")
    folder.mkdir()
    (folder / name_backup(datetime.now(UTC) - timedelta(hours=27))).touch()
    return {"backup_folder": folder}


def make_no_backup(settings: Settings) -> Mapping[str, Any]:
    return {"backup_folder": settings.journal_path.with_name("backups")}


def make_old_copy(settings: Settings) -> Mapping[str, Any]:
    file = settings.journal_path.with_name("copy") / "ltx" / "0" / "0000000000000001-0000000000000001.ltx"
    file.parent.mkdir(parents=True)
    file.touch()
    os.utime(file, (0, time.time() - 7200))
    return {"replica_url": f"file://{file.parents[2]}"}


def make_no_copy(settings: Settings) -> Mapping[str, Any]:
    return {"replica_url": f"file://{settings.journal_path.with_name('copy')}"}


def put_file_in_place_of_folder(settings: Settings) -> Mapping[str, Any]:
    folder = settings.journal_path.with_name("folder")
    folder.touch()
    return {"snapshot_path": folder / "snapshot"}


BROKEN: dict[str, tuple[Change, str, str]] = {
    "the journal can be read by others": (widen, "files", "chmod 600"),
    "the journal is a link": (link, "journal", "name the file itself"),
    "the journal is another database": (put_other_database, "journal", "set JOURNAL_PATH"),
    "the journal is damaged": (damage, "journal", "restore the last backup"),
    "the sidecar's token can be read by others": (give_token_to_all, "sidecar's token", "chmod 600"),
    "the newest backup is old": (make_old_backup, "backup", "trades backup"),
    "there is no backup": (make_no_backup, "backup", "trades backup"),
    "the copy lacks the newest trades": (make_old_copy, "copy", "litestream replicate"),
    "there is no copy": (make_no_copy, "copy", "litestream replicate"),
    "the snapshot's folder is a file": (put_file_in_place_of_folder, "files", "make it a folder"),
    "it listens for other hosts without a token": (
        lambda _: {"webapp_http_host": "0.0.0.0"},
        "access",
        "tokens create",
    ),
}


@pytest.mark.parametrize("state", BROKEN)
def test_a_broken_state_is_named_with_what_to_do(fresh: Settings, state: str) -> None:
    with Journal(fresh.journal_path) as journal:
        append(journal, [BUY] * 50)
    change, what, todo = BROKEN[state]
    code, printed = run_doctor(fresh, **change(fresh))
    assert code == 1, printed
    assert f"FAIL  {what:<15}" in printed
    assert f"  → {todo}" in printed or f"{todo}" in printed.partition(f"FAIL  {what:<15}")[2].splitlines()[1]
    assert printed.endswith(" failed\n")


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (make_old_copy, "ok    copy"),
        (
            lambda _: {"replica_url": "sftp://me:password@host/trades"},
            "note  copy             the age of the copy at sftp://host/trades",
        ),
    ],
)
def test_a_copy_that_lacks_nothing_or_cannot_be_seen_is_no_failure(fresh: Settings, make: Change, found: str) -> None:
    code, printed = run_doctor(fresh, **make(fresh))
    assert (code, found in printed) == (0, True), printed


def test_a_full_disk_is_named(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.cli.host_checks.measure_disk", lambda _: DiskUsage(10, 1, 100))
    code, printed = run_doctor(fresh)
    assert code == 1
    assert "FAIL  disk             1% of the disk of" in printed
    monkeypatch.setattr("webapp.cli.host_checks.measure_disk", lambda _: DiskUsage(10, 5, 100))
    assert run_doctor(fresh)[0] == 0


@pytest.mark.parametrize(
    ("setting", "what"), [("webapp_http_port", "web"), ("sidecar_http_port", "sidecar"), ("webapp_zmq_addr", "hints")]
)
def test_another_program_at_a_port_is_named(fresh: Settings, setting: str, what: str) -> None:
    answers = {"/healthz": {"status": "of another program"}, "/readyz": "I am something else"}
    with serving(answers) as port:
        code, printed = run_doctor(fresh, **{setting: f"tcp://127.0.0.1:{port}" if what == "hints" else port})
    assert code == 1
    assert f"FAIL  {what:<15}  another program listens at " in printed
    assert f"ss -ltnp 'sport = :{port}'" in printed


def expose(version: str = __version__, **changes: float) -> dict[str, Any]:
    """Answer as a sidecar that counts the fifty trades of the journal."""
    values: dict[str, float] = {"sidecar_last_seq": 50, "sidecar_journal_last_seq": 50, "webapp_workers": 2}
    values |= {"webapp_workers_configured": 2, "sidecar_snapshot_timestamp_seconds": time.time()} | changes
    lines = [f"{name} {value}\n" for name, value in values.items()]
    metrics = f'sidecar_build_info{{version="{version}"}} 1.0\n' + "".join(lines)
    return {"/readyz": {"status": "ready"}, "/metrics": metrics}


@pytest.mark.parametrize(
    ("answers", "what", "found"),
    [
        (expose() | {"/readyz": (503, {"detail": "journal: locked"})}, "sidecar", "journal: locked"),
        (expose() | {"/metrics": (401, {"detail": "no token"})}, "sidecar", "no token"),
        (expose(sidecar_last_seq=70), "sidecar", "up to seq 70, but the journal ends at 50"),
        (expose(sidecar_last_seq=0, sidecar_journal_last_seq=0), "sidecar", "a journal that ends at seq 0, but"),
        (expose(version="0.0.9"), "sidecar", "it is version 0.0.9"),
        (expose(sidecar_snapshot_timestamp_seconds=0), "snapshot", "saved its counters "),
        (expose(webapp_workers=0), "workers", "0 of 2 report"),
        (expose(webapp_workers=1), "workers", "1 of 2 report"),
    ],
)
def test_what_is_wrong_with_the_sidecar_is_named(
    fresh: Settings, answers: Mapping[str, Any], what: str, found: str
) -> None:
    with Journal(fresh.journal_path) as journal:
        append(journal, [BUY] * 50)
    web = {"/healthz": {"status": "alive"}, "/readyz": {"status": "ready"}}
    with serving(web) as web_port, serving(expose()) as port:
        code, printed = run_doctor(fresh, sidecar_http_port=port, webapp_http_port=web_port)
        assert (code, "ok    workers          2 of 2" in printed) == (0, True), printed
    with serving(web) as web_port, serving(answers) as port:
        code, printed = run_doctor(fresh, sidecar_http_port=port, webapp_http_port=web_port)
    assert code == 1
    assert found in printed.partition(f"FAIL  {what:<15}  ")[2].splitlines()[0]


def test_a_sidecar_that_is_far_behind_is_a_note(fresh: Settings) -> None:
    for behind, level in ((100, "ok   "), (101, "note ")):
        with serving(expose(sidecar_journal_last_seq=50 + behind)) as port:
            code, printed = run_doctor(fresh, sidecar_http_port=port)
        assert (code, f"{level} sidecar          it counts at " in printed) == (0, True), printed


def test_a_sidecar_that_listens_and_is_silent_may_be_stopped(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.cli.client._TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, printed = run_doctor(fresh, sidecar_http_port=silent.getsockname()[1])
    assert code == 1
    assert "and does not answer" in printed.partition("FAIL  sidecar  ")[2].splitlines()[0]
    assert "kill -CONT" in printed


def answer_as_prometheus(**changes: object) -> dict[str, object]:
    target = {"labels": {"job": "sidecar"}, "scrapeUrl": "http://s/metrics", "health": "up", "lastError": ""}
    rule = {"groups": [{"rules": [{"name": "SidecarDown"}]}]}
    answers = {
        "targets": {"activeTargets": [target | changes]},
        "query": {"result": [0, str(time.time() + float(str(changes.get("ahead", 0))))]},
        "rules": rule if changes.get("has_rules", True) else {"groups": []},
        "alertmanagers": {"activeAlertmanagers": [{"url": "http://a/"}]},
    }
    return {f"/api/v1/{name}": {"data": data} for name, data in answers.items()}


@pytest.mark.parametrize(
    ("changes", "what", "found"),
    [
        ({"health": "down", "lastError": "connection refused"}, "Prometheus", "connection refused"),
        ({"labels": {"job": "relay"}, "health": "down", "lastError": "refused"}, "Prometheus", "it scrapes no sidecar"),
        ({"labels": {"job": "other"}}, "Prometheus", "it scrapes no sidecar"),
        ({"ahead": 60}, "clock", "s ahead"),
        ({"ahead": -60}, "clock", "s behind"),
        ({"has_rules": False}, "alerts", "has not loaded the rules"),
    ],
)
def test_what_is_wrong_with_prometheus_is_named(
    fresh: Settings, changes: Mapping[str, object], what: str, found: str
) -> None:
    with serving(answer_as_prometheus(**changes)) as port:
        code, printed = run_doctor(fresh, prometheus_url=f"http://127.0.0.1:{port}/")
    assert code == 1
    assert found in printed.partition(f"FAIL  {what:<15}")[2].splitlines()[0]


@pytest.mark.parametrize(("uid", "code"), [("trading-prometheus", 0), ("PBFA97CFB590B2093", 1)])
def test_grafana_needs_the_data_source_of_the_dashboards(fresh: Settings, uid: str, code: int) -> None:
    with serving({"/api/frontend/settings": {"datasources": {"Prometheus": {"uid": uid}}}}) as port:
        found, printed = run_doctor(fresh, grafana_url=f"http://127.0.0.1:{port}")
    assert found == code
    assert uid in printed

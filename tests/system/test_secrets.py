"""Secrets stay where they belong: a stack with canaries for secrets, and a search in all that it has written."""

import contextlib
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from common.credentials import is_token
from tests.canaries import list_files, search
from tests.conftest import ROOT
from tests.system.raw import talk
from tests.system.stack import BIN, TRADE, Stack
from tests.waiting import wait_for
from tests.webapp.conftest import read_token

PASSWORD = "canary3PasswordOfAnn"
KEY = "canary1KeyOfTheSessions"
SIDECAR = "canary2TokenOfTheSidecar"


def write_secret(path: Path, text: str, mode: int = 0o600) -> str:
    path.touch(mode)
    path.chmod(mode)
    path.write_text(f"{text}\n")
    return str(path)


class Answers:
    """Asks, and keeps every answer in a file: status, headers and body."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0

    def write(self, *parts: object) -> None:
        self.count += 1
        with self.path.open("a") as file:
            file.write(" ".join(map(str, parts)) + "\n")

    def ask(self, method: str, url: str, **options: object) -> requests.Response:
        with requests.request(method, url, timeout=60, stream="/feed" in url, **options) as answer:  # type: ignore[arg-type]
            body = b"" if "/feed" in url else answer.content
            self.write(answer.status_code, answer.headers, body.decode("utf-8", "replace"))
        return answer


def run_flask(stack: Stack, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "flask"), "--app", "webapp", *arguments],
        cwd=ROOT,
        # Without the .env of this checkout, whose secret is not in a file.
        env=os.environ | stack.settings | {"FLASK_SKIP_DOTENV": "1"},
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def list_processes(stack: Stack) -> Iterator[psutil.Process]:
    for part in ("web", "sidecar"):
        process = stack.find(part)
        yield from (process, *process.children(recursive=True))


def read_process(process: psutil.Process) -> bytes:
    """Return the title, the name and the environment of a process."""
    folder = Path("/proc") / str(process.pid)
    return b"\n".join((folder / name).read_bytes() for name in ("cmdline", "comm", "environ"))


def use(stack: Stack, answers: Answers, canaries: dict[str, str], bearer: dict[str, str]) -> None:
    """Send requests of all kinds: each route, credentials good and bad and in wrong places, and malformed requests."""
    web, sidecar = stack.web_url, stack.sidecar_url
    paths = ["/", "/trades", "/market", "/pipeline", "/blotter", "/blotter.csv", "/blotter.json", "/feed", "/metrics"]
    paths += ["/healthz", "/readyz", "/trades/x", "/nowhere", "/sign-in", "/static/app.css"]
    for text in [*canaries.values(), *(text[:-1] for text in canaries.values())]:
        wrong = [
            {"Authorization": f"Bearer {text}"},
            {"Authorization": f"Basic {text}"},
            {"Authorization": text},
            {"X-Api-Key": text},
            {"Cookie": f"trading_session={text}"},
            {"X-Forwarded-For": text, "Referer": f"http://a/?{text}"},
        ]
        for headers in wrong:
            answers.ask("POST", f"{web}/trade", json=TRADE, headers=headers)
            answers.ask("GET", f"{sidecar}/metrics", headers=headers)
        answers.ask("POST", f"{web}/hooks/{text}", json=TRADE)
        answers.ask("GET", f"{web}/trades?token={text}")
        for port in (int(web.rpartition(":")[2]), int(sidecar.rpartition(":")[2])):
            for broken in (f"GET / HTTP/9.9\r\nAuthorization: Bearer {text}\r\n\r\n", f"\x01 {text}\r\n\r\n"):
                answers.write(talk(port, broken.encode()))
    for path, headers in itertools.product(paths, ({}, bearer, {"Accept": "text/html"} | bearer)):
        answers.ask("GET", f"{web}{path}", headers=headers)
    for path in ("/", "/metrics", "/healthz", "/readyz", "/nowhere"):
        answers.ask("GET", f"{sidecar}{path}", headers={"Authorization": f"Bearer {canaries['sidecar token']}"})
    for body in ("{", "[]", '{"symbol": 1}', '{"symbol": "A", "unknown": 1}'):
        answers.ask("POST", f"{web}/trade", data=body, headers=bearer | {"Content-Type": "application/json"})


def sign_in(stack: Stack, answers: Answers) -> str:
    """Sign in after a wrong password, send a trade by the form, and return the cookie of the session."""
    with requests.Session() as browser:

        def post(path: str, page: str, **fields: str) -> int:
            token = read_token(browser.get(f"{stack.web_url}{page}", timeout=60).text)
            form = {"csrf_token": token, **fields}
            answer = browser.post(f"{stack.web_url}{path}", data=form, timeout=60, allow_redirects=False)
            answers.write(answer.status_code, answer.text)
            return answer.status_code

        assert post("/sign-in", "/sign-in", username="ann", password=f"{PASSWORD}x") == 401
        assert post("/sign-in", "/sign-in", username="ann", password=PASSWORD) == 303
        cookie = browser.cookies["trading_session"]
        assert post("/trade", "/", **TRADE) == 303
        return cookie


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[Stack, dict[str, str]]]:
    """Yield a stack with canaries for secrets, and the canaries by name."""
    folder = tmp_path / "stack"
    folder.mkdir()
    secrets = folder / "secrets"
    secrets.mkdir()
    files = {
        "SECRET_KEY_FILE": write_secret(secrets / "key", KEY),
        "SIDECAR_TOKEN_FILE": write_secret(secrets / "sidecar", SIDECAR),
        "TOKEN_FILE": str(secrets / "token"),
    }
    with Stack(folder, **files, LOG_LEVEL="DEBUG", WEB_CONCURRENCY="2") as stack:
        # Nothing of the shell or of other tests.
        del stack.settings["SECRET_KEY"]
        canaries = {"secret key": KEY, "sidecar token": SIDECAR}
        for name, scopes in (("bot", ("trade:write", "trade:read")), ("alerts", ("hook",))):
            made = run_flask(stack, "tokens", "create", name, *itertools.chain(*(("--scope", each) for each in scopes)))
            canaries[f"token {name}"] = made.stdout.strip()
            assert is_token(canaries[f"token {name}"]), made.stderr
            assert made.stdout.strip() not in made.stderr
        write_secret(secrets / "token", canaries["token bot"])
        made = run_flask(stack, "users", "create", "ann", "--role", "trader", given=f"{PASSWORD}\n")
        assert made.returncode == 0, made.stderr
        canaries["password ann"] = PASSWORD
        yield stack, canaries


def test_no_secret_is_outside_its_file(guarded: tuple[Stack, dict[str, str]], tmp_path: Path) -> None:
    stack, canaries = guarded
    answers = Answers(tmp_path / "answers.txt")
    bearer = {"Authorization": f"Bearer {canaries['token bot']}"}
    stack.start()
    use(stack, answers, canaries, bearer)
    canaries["session ann"] = sign_in(stack, answers)

    # The journal fails: 503, and lines with details.
    with contextlib.closing(sqlite3.connect(stack.settings["JOURNAL_PATH"])) as db:
        db.execute("BEGIN EXCLUSIVE")
        answers.ask("POST", f"{stack.web_url}/trade", json=TRADE, headers=bearer)
        db.rollback()
    # A worker and the sidecar are killed, and the stack starts again.
    next(iter(stack.workers())).send_signal(signal.SIGKILL)
    wait_for(lambda: len(stack.workers()) == 2, "the worker is replaced")
    assert answers.ask("POST", f"{stack.web_url}/trade", json=TRADE, headers=bearer).status_code == 201

    processes = tmp_path / "processes.txt"
    processes.write_bytes(b"\n".join(read_process(process) for process in list_processes(stack)))
    assert processes.read_bytes().count(b"gunicorn") >= 3

    # Commands, with the right token, with a wrong one, and with a file that others may read.
    wrong = write_secret(stack.folder / "secrets" / "wrong", f"{canaries['token bot'][:-1]}x")
    exposed = write_secret(stack.folder / "secrets" / "exposed", canaries["token bot"], 0o644)
    for code, command in (
        (0, ("trades", "simulate", "--count", "3", "--rate", "100")),
        (1, ("trades", "simulate", "--count", "3", "--token-file", wrong)),
        (1, ("trades", "simulate", "--count", "3", "--token-file", exposed)),
        (0, ("trades", "audit")),
        (1, ("trades", "audit", "--token-file", wrong)),
        (0, ("trades", "backup", str(stack.folder / "copy.db"))),
        (0, ("tokens", "list")),
    ):
        done = run_flask(stack, *command)
        assert done.returncode == code, done.stderr
        answers.write(done.stdout, done.stderr)

    key_pair = stack.key_pair()
    canaries["key of the journal"] = key_pair.secret
    stack.stop()

    # Starts that fail: a secret that others may read, and one that is too short.
    for mode, text in ((0o644, KEY), (0o600, "canary")):
        path = write_secret(stack.folder / "secrets" / f"bad-{mode:o}", text, mode)
        for program in (["gunicorn", "webapp:create_app()"], [sys.executable, "-m", "sidecar"]):
            settings = stack.settings | {"SECRET_KEY_FILE": path, "SIDECAR_TOKEN_FILE": path}
            environ = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"} | settings
            failed = subprocess.run(
                program, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=30, check=False
            )
            assert failed.returncode == 1
            assert failed.stderr.count("\n") == 1
            answers.write(failed.stderr)

    restored = tmp_path / "restored.db"
    stack.settings["JOURNAL_PATH"] = str(restored)
    done = run_flask(stack, "trades", "restore", str(stack.folder / "copy.db"))
    assert done.returncode == 0, done.stderr
    answers.write(done.stdout, done.stderr)

    found, count = search(canaries, list_files(tmp_path))
    places = {name: {Path(path).name for path in found if name in found[path]} for name in canaries}
    assert places == {
        "secret key": {"key", "bad-644"},
        "sidecar token": {"sidecar"},
        "token bot": {"token", "exposed"},
        "token alerts": set(),
        "password ann": set(),
        "session ann": set(),
        # A copy of a journal has its key; a restored journal has a new one.
        "key of the journal": places["key of the journal"] & {"journal.db", "journal.db-wal", "copy.db"},
    }
    assert "copy.db" in places["key of the journal"]
    assert answers.count > 200
    sys.stdout.write(f"{answers.count} answers, {count:,} bytes searched\n")

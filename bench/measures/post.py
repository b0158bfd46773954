"""``POST /trade`` with JSON and with the desk's form, beside bare Flask under gunicorn, and FastAPI under uvicorn.

Two workers each, 16 connections, no sidecar: hints are encoded, and dropped by the sender.
"""

import contextlib
import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import requests

from bench.measure import Measure, Opening, Round, Run, check_equal
from bench.processes import count_rows, read_cpu, run_load, serve
from tests.conftest import ROOT
from tests.system.stack import TRADE, free_ports

WORKERS: Final = 2
POSTS: Final = 6_000
POSTS_QUICK: Final = 1_000
FORMS: Final = 3_000
FORMS_QUICK: Final = 500
BARE: Final = "bare Flask"
FASTAPI: Final = "FastAPI"
DURABLE: Final = "FastAPI, durable"
NOT_DURABLE: Final = (BARE, FASTAPI)

GUNICORN: Final = (sys.executable, "-m", "gunicorn")
OUR_SERVER: Final = (*GUNICORN, "--config", "gunicorn.conf.py", "webapp:create_app()")
BARE_SERVER: Final = (
    *(*GUNICORN, "--config", "/dev/null", "--workers", str(WORKERS), "--worker-class", "gevent"),
    *("--bind", "127.0.0.1:{port}", "bench.floor:app"),
)
FASTAPI_SERVER: Final = (
    *(sys.executable, "-m", "uvicorn", "--workers", str(WORKERS), "--port", "{port}", "--no-access-log"),
    # Its default of 5 s is too short for the imports of a worker on a machine that is busy.
    *("--timeout-worker-healthcheck", "60"),
    "bench.fastapi_peer:app",
)


@contextlib.contextmanager
def open_server(run: Run, name: str, root: Path, command: tuple[str, ...], *, form: bool = False) -> Iterator[Round]:
    """Run a server with its journal, hints and log in a folder; a round posts trades and checks the journal."""
    folder, (port,) = run.make_folder(name), free_ports(1)
    journal = folder / "journal.db"
    settings = {
        "WEBAPP_HTTP_HOST": "127.0.0.1",
        "WEBAPP_HTTP_PORT": str(port),
        "WEBAPP_ZMQ_ADDR": f"ipc://{folder}/hints",
        "JOURNAL_PATH": str(journal),
        "JOURNAL_SYNC": "full",
        "SECRET_KEY": secrets.token_urlsafe(32),
        "WEB_CONCURRENCY": str(WORKERS),
        "LOG_LEVEL": "INFO",
        "DURABLE": str(int(name == DURABLE)),
    }
    count = run.choose(FORMS, FORMS_QUICK) if form else run.choose(POSTS, POSTS_QUICK)
    options: tuple[str, ...] = ()
    with serve([part.format(port=port) for part in command], port, folder / "log", settings, root) as server:
        if form and name != BARE:
            options = ("--request", str(write_form(port, folder / "request")), "--status", "303")

        def measure() -> dict[str, float]:
            rows = count_rows(journal) if journal.exists() else 0
            before = read_cpu(server)
            result = run_load(port, count, *options)
            cpu = (read_cpu(server) - before) / count * 1e6
            if name not in NOT_DURABLE:
                check_equal("rows of the journal", count_rows(journal) - rows, count)
            return {"CPU, µs": cpu, "requests/s": result["rate"], "p99, ms": result["p99_ms"]}

        yield measure


def write_form(port: int, path: Path) -> Path:
    """Write the request of the desk's form, with its token and its session, into a file."""
    with requests.Session() as session:
        page = session.get(f"http://127.0.0.1:{port}/", timeout=60).text
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        if token is None:
            message = "the desk has no token"
            raise AssertionError(message)
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in session.cookies)
    body = urlencode(TRADE | {"csrf_token": token[1]})
    path.write_text(
        f"POST /trade HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Cookie: {cookies}\r\nContent-Length: {len(body)}\r\n\r\n{body}",
        newline="",
    )
    return path


def list_servers(run: Run) -> Mapping[str, Opening]:
    """List the servers that trades are posted to."""
    ours = run.open_programs(open_server, OUR_SERVER)
    peers = {BARE: BARE_SERVER, FASTAPI: FASTAPI_SERVER, DURABLE: FASTAPI_SERVER}
    return ours | {name: partial(open_server, run, name, ROOT, command) for name, command in peers.items()}


def list_forms(run: Run) -> Mapping[str, Opening]:
    """List the servers that the form is posted to."""
    ours = run.open_programs(open_server, OUR_SERVER, form=True)
    return ours | {BARE: partial(open_server, run, BARE, ROOT, BARE_SERVER, form=True)}


POST = Measure("post", list_servers)
FORM = Measure("form", list_forms)

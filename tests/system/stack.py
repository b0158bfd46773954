"""The real stack: honcho runs the Procfile on free ports, with its files in one folder."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import psutil
import requests
import zmq
from prometheus_client.parser import text_string_to_metric_families

from common.journal.store import Journal
from common.wire.transport import KeyPair
from tests.canaries import SUITE_KEY
from tests.conftest import ROOT
from tests.waiting import wait_for

BIN = Path(sys.executable).parent
CLI = [str(BIN / "flask"), "--app", "webapp", "trades"]
TRADE = {"symbol": "BTCUSDT", "side": "BUY", "price": "27123.45", "qty": "0.25"}

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


# Below the ports that the kernel gives to outgoing connections: one of those could take a port before its server does.
# Each process of the suite has ports of its own.
_process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_own_ports = range(20_000 + _process, 32_000, _processes)
_ports = random.SystemRandom().sample(_own_ports, len(_own_ports))


def free_ports(count: int) -> list[int]:
    """Return ports on which nothing listens; none is returned twice."""
    ports: list[int] = []
    while len(ports) < count:
        port = _ports.pop()
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            ports.append(port)
    return ports


class Stack:
    """One stack. ``start`` and ``stop`` take a name in the Procfile, or none for all processes."""

    def __init__(self, folder: Path, **settings: str) -> None:
        web, sidecar, hints = free_ports(3)
        self.folder = folder
        self.root = ROOT
        """The checkout whose program runs."""
        self.settings = {
            "WEBAPP_HTTP_PORT": str(web),
            "SIDECAR_HTTP_PORT": str(sidecar),
            "WEBAPP_ZMQ_ADDR": f"tcp://127.0.0.1:{hints}",
            "JOURNAL_PATH": str(folder / "journal.db"),
            "SNAPSHOT_PATH": str(folder / "snapshot"),
            "SECRET_KEY": SUITE_KEY,
            "WEB_CONCURRENCY": "2",
            # None answers there: what fires in another one is no business of a test.
            "PROMETHEUS_URL": "http://127.0.0.1:9",
        } | settings
        self.web_url = f"http://127.0.0.1:{self.settings['WEBAPP_HTTP_PORT']}"
        self.sidecar_url = f"http://127.0.0.1:{self.settings['SIDECAR_HTTP_PORT']}"
        self.log = folder / "stack.log"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._session = requests.Session()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()
        for name in list(self._running):
            self.stop(name)

    def launch(self, name: str = "", procfile: Path = Path("Procfile")) -> subprocess.Popen[bytes]:
        """Start honcho without waiting for anything."""
        env_file = self.folder / ".env"
        env_file.write_text("".join(f'{key}="{value}"\n' for key, value in self.settings.items()))
        command = [str(BIN / "honcho"), "-e", str(env_file), "-f", str(self.root / procfile), "start", *name.split()]
        environ = {
            key: value for key, value in os.environ.items() if key not in self.settings and key != "PYTEST_CURRENT_TEST"
        }
        environ["PATH"] = f"{BIN}:{environ['PATH']}"
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.root, env=environ, stdout=log, stderr=log, start_new_session=True
            )
        self._running[name] = process
        return process

    def start(self, name: str = "") -> Self:
        """Start one process of the Procfile, or all, and wait until it is ready."""
        process = self.launch(name)
        for url in [url for part, url in (("web", self.web_url), ("sidecar", self.sidecar_url)) if name in ("", part)]:
            wait_for(lambda url=url: self._ready(process, url), f"{url} is ready", 30)  # type: ignore[misc]
        return self

    def _ready(self, process: subprocess.Popen[bytes], url: str) -> bool:
        assert process.poll() is None, self.log.read_text()
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{url}/readyz", timeout=60).status_code == 200
        return False

    def stop(self, name: str = "", seconds: float = 60) -> int:
        """Send SIGTERM to honcho, and return its exit code. Raises TimeoutExpired after ``seconds``."""
        process = self._running.pop(name)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            error.add_note(self.log.read_text()[-4000:])
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(seconds)

    def find(self, service: str) -> psutil.Process:
        """Return the process that honcho runs: gunicorn's master for ``web``, or ``sidecar``."""
        word = {"web": "gunicorn", "sidecar": "sidecar"}[service]
        for honcho in self._running.values():
            for each in psutil.Process(honcho.pid).children(recursive=True):
                # A process may end between two calls; one that has ended and was not waited for has no arguments.
                with contextlib.suppress(psutil.NoSuchProcess):
                    if word in [Path(argument).name for argument in each.cmdline()[:3]]:
                        return each
        raise AssertionError(f"{service} is not running\n{self.log.read_text()}")

    def workers(self) -> set[psutil.Process]:
        return set(self.find("web").children())

    @contextlib.contextmanager
    def only(self, worker: psutil.Process) -> Iterator[None]:
        """Suspend the other workers, so that this one accepts each new connection; the kernel would choose."""
        others = self.workers() - {worker}
        try:
            for other in others:
                other.suspend()
            yield
        finally:
            for other in others:
                other.resume()

    def post(self, trade: dict[str, Any] | None = None, **fields: str) -> requests.Response:
        return self._session.post(f"{self.web_url}/trade", json=(trade or TRADE) | fields, timeout=60)

    def renew(self) -> None:
        """Drop the connections to processes that have ended."""
        self._session.close()
        self._session = requests.Session()

    def accept(self, count: int) -> None:
        for _ in range(count):
            assert self.post().status_code == 201

    def samples(self) -> Samples:
        text = self._session.get(f"{self.sidecar_url}/metrics", timeout=60).text
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def total(self, name: str, **labels: str) -> float:
        """Sum the samples of a metric that have these labels."""
        wanted = set(labels.items())
        return sum(value for (known, held), value in self.samples().items() if known == name and wanted <= held)

    def wait_counted(self, trades: int, seconds: float = 15) -> None:
        wait_for(lambda: self.total("trading_trades_total") >= trades, f"{trades} trades are counted", seconds)
        assert self.total("trading_trades_total") == trades

    def journalled(self) -> int:
        with Journal(Path(self.settings["JOURNAL_PATH"])) as journal:
            return journal.last_seq()

    def key_pair(self) -> KeyPair:
        with Journal(Path(self.settings["JOURNAL_PATH"])) as journal:
            return journal.key_pair

    @contextlib.contextmanager
    def peer(self, *, authorised: bool = True) -> Iterator["zmq.Socket[bytes]"]:
        """Connect to the ZeroMQ port as a worker would, or without CURVE."""
        with zmq.Context() as context, context.socket(zmq.PUB) as socket:
            socket.setsockopt(zmq.LINGER, 200)
            # Without a limit the sender drops nothing, and tests can count.
            socket.setsockopt(zmq.SNDHWM, 0)
            if authorised:
                keys = self.key_pair()
                socket.setsockopt(zmq.CURVE_SERVERKEY, keys.public.encode())
                socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public.encode())
                socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret.encode())
            socket.connect(self.settings["WEBAPP_ZMQ_ADDR"])
            yield socket

    def run_cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``flask --app webapp trades …`` against this stack."""
        environ = os.environ | self.settings
        command = [*CLI, *arguments]
        return subprocess.run(
            command, cwd=self.root, env=environ, capture_output=True, text=True, timeout=100, check=False
        )

    @contextlib.contextmanager
    def launch_cli(self, output: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run ``flask --app webapp trades …`` during the block; all that it prints is in ``output``."""
        environ = os.environ | self.settings
        with (
            output.open("wb") as file,
            subprocess.Popen([*CLI, *arguments], cwd=ROOT, env=environ, stdout=file, stderr=file) as process,
        ):
            try:
                yield process
            finally:
                process.kill()

    @contextlib.contextmanager
    def under_trades(self, rate: int) -> Iterator[None]:
        """Send trades at ``rate`` per second during the block."""
        with self.launch_cli(Path(os.devnull), "simulate", "--rate", str(rate), "--count", "1000000"):
            yield


REAL_DATA = ROOT.parent / "shared" / "data"
REAL_TOTALS = {
    ("ETHUSDT", "BUY"): (527, Decimal("3479.549"), Decimal("5799911.48472")),
    ("ETHUSDT", "SELL"): (473, Decimal("3088.419"), Decimal("5147895.15837")),
    ("XBTUSDT", "BUY"): (578, Decimal("84.38067746"), Decimal("8946830.5308597040000")),
    ("XBTUSDT", "SELL"): (422, Decimal("8.72113991"), Decimal("922857.2351919530000")),
}
"""Trades, quantity and notional by symbol and side, from the README of the data."""

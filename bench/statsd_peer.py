"""The peer for counting: Prometheus's statsd_exporter, built by ``go install``, over unix datagrams.

A trade is three lines, as a client of StatsD would send it: a count, a quantity and a notional, by symbol and side.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
import requests
from prometheus_client.parser import text_string_to_metric_families

from bench.measure import UnavailableError
from bench.processes import serve
from bench.prometheus_peer import make_trade
from tests.conftest import ROOT
from tests.system.stack import free_ports
from tests.waiting import wait_for

VERSION: Final = "v0.31.0"
MODULE: Final = f"github.com/prometheus/statsd_exporter@{VERSION}"
PROGRAM: Final = ROOT / "var" / "go" / f"statsd_exporter-{VERSION}"
BUILD_SECONDS: Final = 600


def build() -> Path:
    """Build it, unless it is there, and return its path. Raises UnavailableError."""
    if PROGRAM.is_file():
        return PROGRAM
    go = shutil.which("go")
    if go is None:
        message = "no Go"
        raise UnavailableError(message)
    environ = os.environ | {"GOBIN": str(PROGRAM.parent)}
    sys.stderr.write(f"go install {MODULE}\n")
    try:
        subprocess.run([go, "install", MODULE], env=environ, check=True, capture_output=True, timeout=BUILD_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        message = f"go install {MODULE} failed"
        raise UnavailableError(message) from error
    return (PROGRAM.parent / "statsd_exporter").rename(PROGRAM)


def make_datagrams(size: int, trades: int) -> list[bytes]:
    """Make datagrams of so many trades each."""
    lines = []
    for number in range(trades):
        trade = make_trade(number)
        price, quantity = float(trade["price"]), float(trade["qty"])
        tags = f"|c|#symbol:{trade['symbol']},side:{trade['side']}"
        lines.append(f"trades:1{tags}\nquantity:{quantity:g}{tags}\nnotional:{price * quantity:.6g}{tags}")
    return ["\n".join(lines[start : start + size]).encode() for start in range(0, trades, size)]


class Exporter:
    """A running statsd_exporter."""

    def __init__(self, process: psutil.Process, address: Path, url: str) -> None:
        """Keep its process, the socket that it listens on, and the address of its metrics."""
        self.process = process
        self._address = address
        self._url = url

    def count(self) -> int:
        """Return how many trades it has counted."""
        families = text_string_to_metric_families(requests.get(self._url, timeout=60).text)
        return int(sum(s.value for family in families for s in family.samples if s.name.startswith("trades")))

    def send(self, datagrams: list[bytes], trades: int) -> None:
        """Send datagrams as fast as it takes them, and wait until it has counted so many trades in all."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(str(self._address))
            for datagram in datagrams:
                sender.send(datagram)
        wait_for(lambda: self.count() >= trades, f"{trades} trades are counted", every=0.3)


@contextlib.contextmanager
def run_exporter(folder: Path) -> Iterator[Exporter]:
    """Run it with its files in a folder. Raises UnavailableError."""
    program, (port,) = build(), free_ports(1)
    address = folder / "statsd"
    command = [
        *(str(program), f"--web.listen-address=127.0.0.1:{port}", f"--statsd.listen-unixgram={address}"),
        *("--statsd.listen-udp=", "--statsd.listen-tcp="),
    ]
    with serve(command, port, folder / "log", {}) as process:
        yield Exporter(process, address, f"http://127.0.0.1:{port}/metrics")

"""One scrape in OpenMetrics with gzip: the sidecar, and prometheus_client's own server with the trading series.

The sidecar has more families, so what a scrape takes is scaled to the same number of series.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import psutil
import requests

from bench.measure import Measure, Opening, Round, Run, check_equal
from bench.measures.count import CLIENT
from bench.processes import read_cpu, run_probe, run_stack, stop
from tests.conftest import ROOT

SERIES: Final = (200, 2_000, 8_000)
SERIES_OF_A_SYMBOL: Final = 8
"""Three of each side, price and time."""

SCRAPED: Final = 60_000
"""Series that a round scrapes of each size, so that each takes long enough to be measured."""

SCRAPED_QUICK: Final = 8_000
ACCEPT: Final = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


class Server:
    """A server of metrics: its process and the address of its exposition."""

    def __init__(self, process: psutil.Process, url: str, series: int) -> None:
        """Keep them, and the number of series that it is to have at least."""
        self._process = process
        self._url = url
        self._series = series
        self._session = requests.Session()

    def measure(self, scraped: int) -> dict[str, float]:
        """Scrape until so many series were read, and return the figures of one scrape."""
        scrapes, answer = max(3, scraped // self._series), self._scrape()
        before, began = read_cpu(self._process), time.perf_counter()
        for _ in range(scrapes):
            answer = self._scrape()
        seconds, cpu = time.perf_counter() - began, read_cpu(self._process) - before
        series = sum(not line.startswith("#") for line in answer.text.splitlines())
        check_equal("series, up to those asked for", min(series, self._series), self._series)
        scale = self._series / series
        return {
            name_scrape(self._series): cpu / scrapes * 1e3 * scale,
            f"{self._series:,} series, ms": seconds / scrapes * 1e3 * scale,
            f"{self._series:,} series, with the other families": series,
            f"{self._series:,} series, kB": len(answer.content) / 1e3 * scale,
        }

    def _scrape(self) -> requests.Response:
        answer = self._session.get(self._url, headers={"Accept": ACCEPT, "Accept-Encoding": "gzip"}, timeout=60)
        answer.raise_for_status()
        return answer


def name_scrape(series: int) -> str:
    """Name the figure of a number of series."""
    return f"CPU, {series:,} series, ms"


@contextlib.contextmanager
def open_ours(run: Run, name: str, root: Path) -> Iterator[Round]:
    """Run a sidecar for each number of series."""
    with contextlib.ExitStack() as opened:
        servers = []
        for series in SERIES:
            symbols = series // SERIES_OF_A_SYMBOL
            folder = run.make_folder(f"{name}-{series}")
            run_probe(root, "fill", folder / "journal.db", 2 * symbols, symbols)
            stack = opened.enter_context(run_stack(folder, root, ["sidecar"], SYMBOL_LIMIT=str(symbols)))
            check_equal("counted", stack.total("trading_trades_total"), 2 * symbols)
            servers.append(Server(stack.find("sidecar"), f"{stack.sidecar_url}/metrics", series))
        yield partial(_measure, run, servers)


@contextlib.contextmanager
def open_client(run: Run) -> Iterator[Round]:
    """Run prometheus_client's server for each number of series."""
    with contextlib.ExitStack() as opened:
        servers = []
        for series in SERIES:
            command = [sys.executable, "-m", "bench.prometheus_peer", "serve", str(series // SERIES_OF_A_SYMBOL)]
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            opened.callback(stop, process)
            assert process.stdout is not None
            url = f"http://127.0.0.1:{process.stdout.readline().strip()}/metrics"
            servers.append(Server(psutil.Process(process.pid), url, series))
        yield partial(_measure, run, servers)


def _measure(run: Run, servers: list[Server]) -> dict[str, float]:
    found: dict[str, float] = {}
    for server in servers:
        found |= server.measure(run.choose(SCRAPED, SCRAPED_QUICK))
    return found


def list_subjects(run: Run) -> Mapping[str, Opening]:
    """List the programs and the peer."""
    return run.open_programs(open_ours) | {CLIENT: partial(open_client, run)}


SCRAPE = Measure("scrape", list_subjects)

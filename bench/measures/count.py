"""Counting trades, one and a hundred in a message: the sidecar's step, the whole sidecar, and its peers.

The step is what the consumer does with recorded messages; the peer decodes messages with the same fields and calls
``inc()``, ``set()`` and ``observe()``. The process is all of it: socket, threads, snapshots; the peer is
statsd_exporter, which has no other figure, so the step is compared with it too.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from bench.measure import Measure, Opening, Round, Run, check_equal
from bench.processes import read_cpu, run_probe, run_stack, wait_counted
from bench.statsd_peer import make_datagrams, run_exporter
from tests.conftest import ROOT

SIZES: Final = (1, 100)
TRADES: Final = 50_000
TRADES_QUICK: Final = 10_000
CLIENT: Final = "prometheus_client"
STATSD: Final = "statsd_exporter"


def name_step(size: int) -> str:
    """Name the figure of counting in one process."""
    return f"CPU of the step, {size} a message, µs"


def name_socket(size: int) -> str:
    """Name the figure of a whole process."""
    return f"CPU of the process, {size} a message, µs"


@contextlib.contextmanager
def open_ours(run: Run, name: str, root: Path) -> Iterator[Round]:
    """Run a sidecar over an empty journal; a round counts in a process of its own, and sends messages to that one."""
    trades = run.choose(TRADES, TRADES_QUICK)
    folder = run.make_folder(name)
    run_probe(root, "fill", folder / "journal.db", 0, 1)
    with run_stack(folder, root, ["sidecar"]) as stack:
        journal, address = stack.settings["JOURNAL_PATH"], stack.settings["WEBAPP_ZMQ_ADDR"]
        sent = 0

        def measure() -> dict[str, float]:
            nonlocal sent
            figures = {}
            for size in SIZES:
                found = run_probe(root, "messages", "count", size, trades)
                check_equal("counted in the process", found["counted"], trades)
                figures[name_step(size)] = found["µs"]
            sidecar = stack.find("sidecar")
            for size in SIZES:
                before = read_cpu(sidecar)
                run_probe(root, "messages", "send", size, trades, sent, journal, address)
                sent += trades
                wait_counted(stack, sent)
                figures[name_socket(size)] = (read_cpu(sidecar) - before) / trades * 1e6
            return figures

        yield measure


@contextlib.contextmanager
def open_client(run: Run) -> Iterator[Round]:
    """Count with prometheus_client, each time in a process of its own."""
    trades = run.choose(TRADES, TRADES_QUICK)

    def measure() -> dict[str, float]:
        figures = {}
        for size in SIZES:
            command = [sys.executable, "-m", "bench.prometheus_peer", "count", str(size), str(trades)]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=300)
            found = json.loads(done.stdout)
            check_equal("counted by prometheus_client", found["counted"], trades)
            figures[name_step(size)] = found["µs"]
        return figures

    yield measure


@contextlib.contextmanager
def open_statsd(run: Run) -> Iterator[Round]:
    """Run statsd_exporter; a round sends it datagrams."""
    trades = run.choose(TRADES, TRADES_QUICK)
    datagrams = {size: make_datagrams(size, trades) for size in SIZES}
    with run_exporter(run.make_folder(STATSD)) as exporter:

        def measure() -> dict[str, float]:
            figures = {}
            for size in SIZES:
                counted, before = exporter.count(), read_cpu(exporter.process)
                exporter.send(datagrams[size], counted + trades)
                check_equal("counted by statsd_exporter", exporter.count() - counted, trades)
                figures[name_socket(size)] = (read_cpu(exporter.process) - before) / trades * 1e6
            return figures

        yield measure


def list_subjects(run: Run) -> Mapping[str, Opening]:
    """List the programs and the peers."""
    return run.open_programs(open_ours) | {CLIENT: partial(open_client, run), STATSD: partial(open_statsd, run)}


COUNT = Measure("count", list_subjects)

"""A storm: faults without pause on a stack under load, and a comparison of all totals after it."""

import contextlib
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import psutil

from common.event import Event
from common.journal.checkpoint import read_pruned
from common.journal.store import Journal
from common.tally import Tally
from tests.conftest import ROOT
from tests.system.faults.client import Accepted, Client, CounterMonitor
from tests.system.faults.faults import FAULTS
from tests.system.prometheus import Prometheus
from tests.system.stack import Stack
from tests.waiting import wait_for

DISK_MB = 256

CLOCK = Path(__file__).parent / "clock"

SETTINGS = {
    "JOURNAL_SYNC": "full",
    # Short, so that trades are pruned during the storm; a third of it is longer than a client waits for an answer.
    "JOURNAL_RETENTION": "30s",
    "PYTHONPATH": f"{CLOCK}:{ROOT}",
    # Workers are recycled continuously, and killed after hanging for three seconds.
    "GUNICORN_CMD_ARGS": "--max-requests 1500 --max-requests-jitter 500 --timeout 3",
}


@dataclass
class Report:
    """The results of a storm."""

    faults: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    accepted: int = 0
    journalled: int = 0
    pruned: int = 0
    counted: int = 0
    recounted: int = 0
    differences: list[str] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    replayed: int = 0
    samples: int = 0
    decreased: list[str] = field(default_factory=list)
    disappeared: list[str] = field(default_factory=list)
    series: int = 0
    resets: float = 0.0
    audit: str = ""

    def write(self) -> str:
        """Return the report as text."""
        lines = [
            *(f"{count:5}  {name}" for name, count in sorted(self.faults.items())),
            f"{self.faults.total():5}  faults in {self.seconds:.0f} s",
            f"accepted trades/s {self.accepted / max(self.seconds, 0.001):.0f}",
            "",
            f"accepted    {self.accepted}",
            f"journalled  {self.journalled}, of which pruned {self.pruned}",
            f"counted     {self.counted}, recounted without snapshots {self.recounted}",
            f"differences {len(self.differences)}: {self.differences[:5]}",
            f"rejected, then retried: {dict(self.rejected)}",
            f"unanswered, then retried: {self.unanswered}, of which already accepted: {self.replayed}",
            f"samples of /metrics {self.samples}",
            f"counters that decreased {len(self.decreased)}: {self.decreased[:5]}",
            f"counters that disappeared {len(self.disappeared)}: {self.disappeared[:5]}",
            f"Prometheus: most resets(trading_trades_total[1h]) of {self.series} series: {self.resets:.0f}",
            self.audit,
        ]
        return "\n".join(lines)


def list_faults(count: int, rng: random.Random) -> Iterator[str]:
    """Yield the names of ``count`` faults, in random order, each once before any is repeated."""
    names: list[str] = []
    for _ in range(count):
        if not names:
            names = rng.sample(sorted(FAULTS), len(FAULTS))
        yield names.pop()


@contextlib.contextmanager
def mounted(folder: Path, megabytes: int = DISK_MB) -> Iterator[None]:
    """Mount a small disk that can be filled. Raises CalledProcessError without the permission to mount."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def run_storm(folder: Path, *, faults: int, rate: float, seed: int) -> Report:
    """Run ``faults`` faults under ``rate`` trades per second, and compare all totals."""
    rng = random.Random(seed)
    report = Report()
    (folder / "clocks").mkdir()
    paths = {
        "JOURNAL_PATH": str(folder / "disk" / "journal.db"),
        "SNAPSHOT_PATH": str(folder / "disk" / "snapshot"),
        "CLOCK_FOLDER": str(folder / "clocks"),
    }
    with (
        mounted(folder / "disk"),
        Stack(folder, **SETTINGS, **paths) as stack,
        Prometheus(folder, stack.settings["SIDECAR_HTTP_PORT"]) as prometheus,
    ):
        stack.start("web")
        stack.start("sidecar")
        began = time.monotonic()
        with (
            Client(int(stack.settings["WEBAPP_HTTP_PORT"]), rate, seed) as client,
            CounterMonitor(int(stack.settings["SIDECAR_HTTP_PORT"])) as monitor,
        ):
            for name in list_faults(faults, rng):
                inject(name, stack, rng, client)
                report.faults[name] += 1
            report.seconds = time.monotonic() - began
            client.finish()
            accepted = len(client.accepted)
            wait_for(lambda: stack.total("trading_trades_total") >= accepted, f"{accepted} trades are counted", 30)
            wait_for(lambda: read_pruned_seq(stack) > 0, "trades are pruned", 60)
        report.rejected, report.unanswered, report.replayed = client.rejected, client.unanswered, client.replayed
        report.samples, report.decreased, report.disappeared = monitor.samples, monitor.decreased, monitor.disappeared
        compare_totals(stack, client.accepted, report)
        # Here, while it can be said which trades differ.
        assert report.counted == report.accepted, report.write()
        assert not report.differences, report.write()
        wait_for(
            lambda: prometheus.ask("sum(trading_trades_total)") == [len(client.accepted)], "Prometheus has every trade"
        )
        resets = prometheus.ask("resets(trading_trades_total[1h])")
        report.series, report.resets = len(resets), max(resets)
        report.audit = stack.run_cli("audit", "--prometheus", prometheus.url).stdout
        recount(stack, client.accepted, report)
    return report


def inject(name: str, stack: Stack, rng: random.Random, client: Client) -> None:
    """Inject one fault, and wait until the clients have caught up."""
    try:
        FAULTS[name](stack, rng)
    except psutil.NoSuchProcess:
        # The worker was recycled before the fault reached it.
        FAULTS[name](stack, rng)
    wait_for(client.has_caught_up, f"the clients catch up after {name}", 60)


def read_pruned_seq(stack: Stack) -> int:
    with Journal(Path(stack.settings["JOURNAL_PATH"])) as journal:
        return journal.pruned_seq()


def compare_totals(stack: Stack, accepted: dict[str, Accepted], report: Report) -> None:
    """Compare the accepted trades with those journalled or pruned, and with the counters."""
    with Journal(Path(stack.settings["JOURNAL_PATH"])) as journal, journal.read_transaction():
        written = {event.id: Accepted(event.symbol, event.side, Decimal(event.qty)) for event in read_all(journal)}
        pruned = read_pruned(journal).symbols
    report.pruned = sum(tally.trades for symbol in pruned.values() for tally in symbol.tallies.values())
    report.accepted, report.journalled = len(accepted), len(written) + report.pruned
    report.counted = int(stack.total("trading_trades_total"))
    report.differences += [f"trade {each}" for each in written.keys() - accepted.keys()]
    report.differences += [
        f"content of {each}" for each in accepted.keys() & written if accepted[each] != written[each]
    ]
    missing = [each for id_, each in accepted.items() if id_ not in written]
    for symbol, side in find_labels(accepted):
        quantities = [each.quantity for each in missing if (each.symbol, each.side) == (symbol, side)]
        tally = pruned[symbol].tallies[side] if symbol in pruned else Tally()
        if (tally.trades, tally.quantity) != (len(quantities), sum(quantities)):
            report.differences.append(f"pruned of {symbol} {side}")
    compare_counters(stack, accepted, report)


def recount(stack: Stack, accepted: dict[str, Accepted], report: Report) -> None:
    """Delete both snapshots, and compare the totals recounted from the checkpoint and the journal."""
    stack.stop("sidecar")
    for each in Path(stack.settings["SNAPSHOT_PATH"]).parent.glob("snapshot*"):
        each.unlink()
    stack.start("sidecar")
    report.recounted = int(stack.total("trading_trades_total"))
    compare_counters(stack, accepted, report)


def compare_counters(stack: Stack, accepted: dict[str, Accepted], report: Report) -> None:
    """Compare the sidecar's counters with the accepted trades."""
    for symbol, side in find_labels(accepted):
        quantities = [each.quantity for each in accepted.values() if (each.symbol, each.side) == (symbol, side)]
        if stack.total("trading_trades_total", symbol=symbol, side=side) != len(quantities):
            report.differences.append(f"trades of {symbol} {side}")
        if stack.total("trading_quantity_total", symbol=symbol, side=side) != float(sum(quantities)):
            report.differences.append(f"quantity of {symbol} {side}")


def find_labels(accepted: dict[str, Accepted]) -> set[tuple[str, str]]:
    return {(each.symbol, each.side) for each in accepted.values()}


def read_all(journal: Journal) -> Iterator[Event]:
    after = 0
    while events := journal.read_after(after):
        yield from events
        after = events[-1].seq

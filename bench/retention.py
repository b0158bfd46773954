"""Pruning a million trades to a tenth while trades are accepted: ``python -m bench.retention``."""

import tempfile
import time
from datetime import timedelta
from pathlib import Path

from bench.posting import Load, p99_ms
from bench.processes import count_rows
from common.event import Event
from common.journal.store import Journal
from common.timestamps import format_timestamp, now
from tests.conftest import append
from tests.system.stack import Stack
from tests.waiting import wait_for

TRADES = 1_000_000
KEPT = 100_000
WARM_SECONDS = 20
LIMIT_SECONDS = 900
COMMIT_SIZE = 10_000


def fill(path: Path) -> None:
    """Append trades, all but the last of them two hours old."""
    old, new = format_timestamp(now() - timedelta(hours=2)), format_timestamp(now())
    with Journal(path, "normal") as journal:
        for start in range(0, TRADES, COMMIT_SIZE):
            timestamp = old if start < TRADES - KEPT else new
            append(journal,
                [
                    Event(
                        timestamp, f"SYMBOL{n % 20}", "BUY", f"{1 + n % 7919}.5", "0.125",
                        seq=0, id=f"{n:036}", journal_id="", accepted_at=timestamp,
                    )
                    for n in range(start, start + COMMIT_SIZE)
                ]
            )  # fmt: skip


def run(folder: Path, retention: str) -> None:
    """Start the stack over the journal in ``folder``, load it, and print the results."""
    path = folder / "journal.db"
    with Stack(folder, JOURNAL_RETENTION=retention) as stack:
        stack.start()
        wait_for(lambda: retention == "0" or first_seq(path) > 1, "pruning has begun", 120)
        with Load(int(stack.settings["WEBAPP_HTTP_PORT"])) as load:
            began = time.monotonic()
            until = WARM_SECONDS if retention == "0" else LIMIT_SECONDS
            while time.monotonic() - began < until:
                time.sleep(1)
                if retention != "0" and first_seq(path) > TRADES - KEPT:
                    break
            seconds = time.monotonic() - began
        stack.wait_counted(int(stack.total("sidecar_journal_last_seq")), 30)
        size = sum(each.stat().st_size for each in folder.glob("journal.db*")) / 1e6
        print(
            f"retention {retention}: {seconds:.0f} s under {len(load.delays) / seconds:.0f} trades/s, "
            f"p99 of POST /trade {p99_ms(load.delays):.1f} ms; "
            f"{count_rows(path):,} trades and {size:.0f} MB in the journal; "
            f"counted {stack.total('trading_trades_total'):,.0f} of {stack.total('sidecar_journal_last_seq'):,.0f}"
        )
        print(stack.run_cli("audit").stdout.splitlines()[-1])


def first_seq(path: Path) -> int:
    """Return the seq of the oldest trade in the journal."""
    with Journal(path) as journal:
        return journal.read_after(0, 1)[0].seq


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "journal.db")
        run(folder, "0")
        run(folder, "1h")


if __name__ == "__main__":
    main()

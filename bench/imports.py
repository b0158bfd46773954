"""Importing a file of many rows, and what it takes of each process: ``python -m bench.imports ROWS``."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import psutil

from tests.system.stack import CLI, Stack

ROWS = 200_000
SYMBOLS = 20
ROWS_PER_SECOND = 50
"""Of the times in the file."""

EVERY_SECONDS = 0.2

Totals = dict[tuple[str, str], tuple[int, Decimal]]


def make_file(path: Path, rows: int) -> Totals:
    """Write a file of trades without ids, and return its trades and notional by symbol and side."""
    trades: dict[tuple[str, str], int] = defaultdict(int)
    notional: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    with path.open("w") as file:
        file.write("ts,symbol,side,price,qty\n")
        for row in range(rows):
            seconds, part = divmod(row, ROWS_PER_SECOND)
            days, clock = divmod(seconds, 86400)
            time_of_day = f"{clock // 3600:02}:{clock // 60 % 60:02}:{clock % 60:02}"
            symbol, side, price = f"SYMBOL{row % SYMBOLS}", ("SELL", "BUY")[row % 3 == 0], f"{27_000 + row % 977}.5"
            file.write(f"2026-01-{days + 1:02}T{time_of_day}.{part * 20:03}Z,{symbol},{side},{price},0.25\n")
            trades[symbol, side] += 1
            notional[symbol, side] += Decimal(price)
    return {labels: (count, notional[labels] / 4) for labels, count in trades.items()}


def check(stack: Stack, expected: Totals) -> None:
    """Check the sidecar's totals by symbol and side. Raises AssertionError."""
    for (symbol, side), (trades, notional) in expected.items():
        labels = {"symbol": symbol, "side": side}
        found = (stack.total("trading_trades_total", **labels), stack.total("trading_notional_total", **labels))
        if found != (trades, float(notional)):
            message = f"{symbol} {side}: {found}; expected {trades, float(notional)}"
            raise AssertionError(message)


class Watch:
    """CPU seconds and peak memory of processes, read until the import ends."""

    def __init__(self, processes: dict[str, set[psutil.Process]]) -> None:
        """Begin."""
        self.cpu: dict[str, float] = {}
        self.peak_mb: dict[str, float] = defaultdict(float)
        self._processes = processes
        self._before: dict[str, float] = {}
        self.read()
        self._before = dict(self.cpu)

    def read(self) -> None:
        """Read all processes that still run."""
        for name, processes in self._processes.items():
            try:
                cpu = sum(sum(process.cpu_times()[:2]) for process in processes)
                megabytes = max(process.memory_info().rss for process in processes) / 1e6
            except psutil.NoSuchProcess:
                continue
            self.cpu[name] = cpu - self._before.get(name, 0)
            self.peak_mb[name] = max(self.peak_mb[name], megabytes)


def measure(stack: Stack, path: Path, rows: int) -> None:
    """Import a file, and print rows/s, CPU a row and peak memory."""
    began = time.perf_counter()
    with subprocess.Popen(
        [*CLI, "replay", str(path)], env=os.environ | stack.settings, stdout=subprocess.PIPE, text=True
    ) as process:
        client = psutil.Process(process.pid)
        watch = Watch({"client": {client}, "web": stack.workers(), "sidecar": {stack.find("sidecar")}})
        ended = threading.Event()

        def watch_it() -> None:
            while not ended.wait(EVERY_SECONDS):
                watch.read()

        thread = threading.Thread(target=watch_it)
        thread.start()
        output = process.communicate()[0]
        seconds = time.perf_counter() - began
        ended.set()
        thread.join()
    stack.wait_counted(rows, 120)
    counted = time.perf_counter() - began
    watch.read()
    later = counted - seconds
    sys.stdout.write(f"{output.splitlines()[-1]}\n{rows / seconds:,.0f} rows/s, all counted {later:.1f} s later\n")
    for name, cpu in watch.cpu.items():
        peak = watch.peak_mb[name]
        sys.stdout.write(f"{name:8} {cpu / rows * 1e6:6.1f} µs of CPU a row, peak memory {peak:.0f} MB\n")


def main() -> None:
    """Make a file, import it, and check the totals."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as name, Stack(Path(name)) as stack:
        path = Path(name) / "trades.csv"
        expected = make_file(path, rows)
        stack.start()
        measure(stack, path, rows)
        check(stack, expected)
        size = sum(file.stat().st_size for file in Path(name).glob("journal.db*"))
        load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
        sys.stdout.write(f"totals exact; journal {size / rows:.0f} bytes a row; load average {load}\n")


if __name__ == "__main__":
    main()

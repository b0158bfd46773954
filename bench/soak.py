"""A soak: hours under load, with reloads, scrapes, viewers and retention: ``python -m bench.soak --minutes 120``.

It prints memory, open files, journal, write-ahead log and lag over the time, and at the end what was lost.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import psutil
import requests

from common.symbols import read_symbols
from tests.system.stack import Stack
from tests.waiting import wait_for

RATE: Final = 500
"""Trades a second."""

BATCH: Final = 50
VIEWERS: Final = 50
RETENTION: Final = "2m"
RELOAD_SECONDS: Final = 120.0
ROWS: Final = 12
"""Lines of the table, whatever the minutes."""

COLUMNS: Final = (
    *("minute", "web MB", "sidecar MB", "journal MB", "log MB"),
    *("web files", "sidecar files", "accepted", "most lag"),
)

SYMBOLS: Final = read_symbols("BTCUSDT,ETHUSDT,SOLUSDT,BTC/EUR,ES1!")


@dataclass
class Found:
    """What the threads of the soak count."""

    accepted: int = 0
    repeated: int = 0
    scrapes: int = 0
    failed_scrapes: int = 0
    most_lag: float = 0
    reloads: int = 0
    reconnects: int = 0
    gaps: list[str] = field(default_factory=list)


def send(stack: Stack, found: Found, stop: threading.Event) -> None:
    """Send batches at the rate; one whose answer is lost is sent again, and its keys make it count once."""
    session, number, start = requests.Session(), 0, time.monotonic()
    while not stop.wait(max(0.0, start + number * BATCH / RATE - time.monotonic())):
        trades = [
            {
                "symbol": SYMBOLS[each % len(SYMBOLS)],
                "side": ("BUY", "SELL")[each % 2],
                "price": f"100.{each}",
                "qty": "2",
            }
            | {"key": f"soak-{number}-{each}"}
            for each in range(BATCH)
        ]
        body = json.dumps(trades)
        while not stop.is_set():
            with contextlib.suppress(requests.RequestException):
                headers = {"Content-Type": "application/json"}
                answer = session.post(f"{stack.web_url}/trades", body, headers=headers, timeout=30)
                if answer.status_code == requests.codes.created:
                    found.accepted += answer.json()["accepted"]
                    break
            found.repeated += 1
            time.sleep(0.1)
        number += 1


def scrape(stack: Stack, found: Found, stop: threading.Event) -> None:
    """Scrape the sidecar every second."""
    while not stop.wait(1):
        try:
            text = requests.get(f"{stack.sidecar_url}/metrics", timeout=10).text
        except requests.RequestException:
            found.failed_scrapes += 1
            continue
        found.scrapes += 1
        lag = next((line for line in text.splitlines() if line.startswith("sidecar_lag_events ")), "x 0")
        found.most_lag = max(found.most_lag, float(lag.split()[1]))


def view(stack: Stack, found: Found, stop: threading.Event, *, checks: bool) -> None:
    """Read the live feed, and again after a reload; the one that ``checks`` notes each seq that is missing."""
    port, last = int(stack.settings["WEBAPP_HTTP_PORT"]), 0
    while not stop.is_set():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 30) as connection:
            connection.settimeout(30)
            after = f"Last-Event-ID: {last}\r\n" if last else ""
            connection.sendall(f"GET /feed HTTP/1.1\r\nHost: localhost\r\n{after}\r\n".encode())
            rest = b""
            while not stop.is_set() and (data := connection.recv(65_536)):
                if checks:
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        if line.startswith(b"id: "):
                            seq = int(line[4:])
                            if last and seq > last + 1:
                                found.gaps.append(f"{last} to {seq}")
                            last = max(last, seq)
        found.reconnects += 1
        stop.wait(0.5)


def measure(stack: Stack) -> tuple[str, ...]:
    """Return memory and files of web and sidecar, and the size of the journal and its log."""
    web, sidecar = stack.find("web"), stack.find("sidecar")
    processes = [web, *web.children()]
    memory = files = 0
    for each in processes:
        with contextlib.suppress(psutil.Error):
            memory += each.memory_info().rss
            files += each.num_fds()
    journal = Path(stack.settings["JOURNAL_PATH"])
    sizes = [path.stat().st_size for path in (journal, Path(f"{journal}-wal"))]
    figures = memory, sidecar.memory_info().rss, *sizes
    return (*(f"{figure / 1e6:.1f}" for figure in figures), f"{files}", f"{sidecar.num_fds()}")


def soak(folder: Path, minutes: float) -> bool:
    """Run the soak, print its table, and return whether nothing was lost."""
    found, stop = Found(), threading.Event()
    settings = {"JOURNAL_RETENTION": RETENTION, "WRITES_PER_SECOND": "0", "LOG_LEVEL": "WARNING"}
    with Stack(folder, **settings) as stack:
        stack.start()
        parts: list[Callable[..., None]] = [
            send,
            scrape,
            *(partial(view, checks=number == 0) for number in range(VIEWERS)),
        ]
        threads = [threading.Thread(target=part, args=(stack, found, stop)) for part in parts]
        for thread in threads:
            thread.start()
        _print(*COLUMNS)
        start = reloaded = time.monotonic()
        for row in range(ROWS + 1):
            while time.monotonic() < start + row * minutes * 60 / ROWS:
                time.sleep(0.2)
                if time.monotonic() > reloaded + RELOAD_SECONDS:
                    reloaded, found.reloads = time.monotonic(), found.reloads + 1
                    os.kill(stack.find("web").pid, signal.SIGHUP)
            elapsed = (time.monotonic() - start) / 60
            _print(f"{elapsed:.1f}", *measure(stack), f"{found.accepted:,}", f"{found.most_lag:.0f}")
            found.most_lag = 0
        stop.set()
        for thread in threads:
            thread.join(60)
        wait_for(lambda: stack.total("sidecar_lag_events") == 0, "all is counted", 300)
        counted = stack.total("trading_trades_total")
    # An answer that was lost at the end may have been accepted.
    lost = max(0, found.accepted - int(counted))
    sys.stdout.write(
        f"accepted {found.accepted:,}, counted {counted:,.0f}, lost {lost}; reloads {found.reloads},"
        f" batches sent again {found.repeated}; scrapes {found.scrapes:,}, failed {found.failed_scrapes};"
        f" viewers {VIEWERS}, connected again {found.reconnects}, missed {len(found.gaps)} {found.gaps[:3]}\n"
    )
    return not lost and not found.gaps


def _print(*cells: str) -> None:
    sys.stdout.write("  ".join(cell.rjust(13) for cell in cells) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the soak for the minutes that are asked for."""
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("--minutes", type=float, default=120)
    with tempfile.TemporaryDirectory() as folder:
        return 0 if soak(Path(folder), parser.parse_args().minutes) else 1


if __name__ == "__main__":
    sys.exit(main())

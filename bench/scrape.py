"""What one scrape takes, by symbols and workers: ``python -m bench.scrape``."""

import itertools
import tempfile
import time
from pathlib import Path
from statistics import median

import requests

from tape.event import Event
from tape.journal import Journal
from tests.system.stack import Stack

SYMBOLS = (200, 2000)
WORKERS = (1, 8)
SCRAPES = 30
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def fill(path: Path, symbols: int) -> None:
    """Append a buy and a sell of each symbol."""
    moment = "2026-01-31T09:30:00.000000Z"
    with Journal(path) as journal:
        journal.append(
            [
                Event(0, f"{side}{n}", "", moment, moment, f"SYMBOL{n}", side, "100.25", "3")
                for n in range(symbols)
                for side in ("BUY", "SELL")
            ]
        )


def main() -> None:
    """Measure and print."""
    print("symbols  workers  series     bytes  gzip bytes  median ms  max ms")
    for symbols, workers in itertools.product(SYMBOLS, WORKERS):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            fill(folder / "journal.db", symbols)
            with Stack(folder, SYMBOL_LIMIT=str(symbols), WEB_CONCURRENCY=str(workers)) as stack:
                stack.start()
                for _ in range(50 * workers):
                    requests.get(f"{stack.web_url}/healthz", timeout=10)
                while stack.total("webapp_workers") < workers:
                    time.sleep(0.1)
                url, seconds = f"{stack.sidecar_url}/metrics", []
                with requests.Session() as session:
                    headers = {"Accept": OPENMETRICS}
                    for _ in range(SCRAPES):
                        began = time.perf_counter()
                        answer = session.get(url, headers=headers, timeout=10)
                        seconds.append(time.perf_counter() - began)
                    packed = len(session.get(url, headers=headers, stream=True, timeout=10).raw.read())
                series = sum(not line.startswith("#") for line in answer.text.splitlines())
        print(
            f"{symbols:7}  {workers:7}  {series:6}  {len(answer.content):8,}  {packed:10,}"
            f"  {median(seconds) * 1000:9.1f}  {max(seconds) * 1000:6.1f}"
        )


if __name__ == "__main__":
    main()

"""The time of one scrape, by symbols and workers: ``python -m bench.scrape``.

The peer is prometheus_client's own server with the trading series only; both are scraped in turns.
"""

import contextlib
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import requests
from prometheus_client import start_http_server

from bench.fold import Metrics
from common.event import SIDES, Event
from common.journal.store import Journal
from tests.conftest import append
from tests.system.stack import Stack

SYMBOLS = (200, 2000)
WORKERS = (1, 8)
SCRAPES = 30
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def make_events(symbols: int) -> list[Event]:
    """Make a buy and a sell of each symbol."""
    timestamp = "2026-01-31T09:30:00.000000Z"
    return [
        Event(
            timestamp, f"SYMBOL{n}", side, "100.25", "3",
            seq=0, id=f"{side}{n}", journal_id="", accepted_at=timestamp,
        )
        for n in range(symbols)
        for side in SIDES
    ]  # fmt: skip


@contextlib.contextmanager
def serve_peer(events: list[Event]) -> Iterator[str]:
    """Serve the same trades as prometheus_client's own metrics; yields the URL."""
    metrics = Metrics()
    for event in events:
        metrics.increment(event)
    server, thread = start_http_server(0, "127.0.0.1", metrics.registry)
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def scrape(session: requests.Session, url: str) -> tuple[float, requests.Response]:
    """Scrape once as Prometheus does, and return the seconds."""
    began = time.perf_counter()
    answer = session.get(url, headers={"Accept": OPENMETRICS}, timeout=10)
    return time.perf_counter() - began, answer


def main() -> None:
    """Measure and print."""
    print("symbols  workers  series     bytes  gzip bytes  median ms  max ms  of the peer (min to max)")
    for symbols, workers in itertools.product(SYMBOLS, WORKERS):
        events = make_events(symbols)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with Journal(folder / "journal.db") as journal:
                append(journal, events)
            with (
                Stack(folder, SYMBOL_LIMIT=str(symbols), WEB_CONCURRENCY=str(workers)) as stack,
                serve_peer(events) as peer,
                requests.Session() as session,
            ):
                stack.start()
                for _ in range(50 * workers):
                    requests.get(f"{stack.web_url}/healthz", timeout=10)
                while stack.total("webapp_workers") < workers:
                    time.sleep(0.1)
                url, seconds, ratios = f"{stack.sidecar_url}/metrics", [], []
                for _ in range(SCRAPES):
                    took, answer = scrape(session, url)
                    seconds.append(took)
                    ratios.append(took / scrape(session, peer)[0])
                packed = session.get(url, headers={"Accept": OPENMETRICS}, stream=True, timeout=10).raw.read()
                series = sum(not line.startswith("#") for line in answer.text.splitlines())
        print(
            f"{symbols:7}  {workers:7}  {series:6}  {len(answer.content):8,}  {len(packed):10,}"
            f"  {median(seconds) * 1000:9.1f}  {max(seconds) * 1000:6.1f}"
            f"  {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()

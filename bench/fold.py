"""Counting events: the fold into plain state, beside prometheus_client's own metrics fed event by event."""

import random
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from sidecar.consumer import Consumer
from sidecar.state import DELAY_BOUNDS, NOTIONAL_BOUNDS, State
from tape import wire
from tape.event import Event
from tape.journal import Journal

EVENTS = 50_000
REPLAYED = 200_000
ROUNDS = 5
ORIGIN = "0" * 32


def measure() -> dict[str, list[float]]:
    """Give events a second, round by round, of each way to count."""
    events = [_make(seq) for seq in range(1, EVENTS + 1)]
    alone = [wire.encode_message([event]) for event in events]
    packed = [wire.encode_message(events[start : start + 100]) for start in range(0, EVENTS, 100)]
    found: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, count in (
            ("decode and fold, 1 in a message", partial(_fold, alone)),
            ("decode and fold, 100 in a message", partial(_fold, packed)),
            ("decode and inc(), 1 in a message", partial(_increment, alone)),
        ):
            found.setdefault(name, []).append(_rate(count, EVENTS))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        with Journal(path, "normal") as journal:
            for start in range(1, REPLAYED + 1, 1000):
                journal.append([_make(seq) for seq in range(start, start + 1000)])
            origin = journal.origin
        found["replay from the journal"] = [_rate(partial(_replay, path, origin), REPLAYED) for _ in range(3)]
    return found


def _make(seq: int) -> Event:
    chance = random.Random(seq)
    price, qty = f"{chance.uniform(10, 40_000):.2f}", f"{chance.uniform(0.001, 9):.4f}"
    moment = f"2026-01-31T09:30:00.{seq % 1_000_000:06}Z"
    symbol, side = f"SYMBOL{seq % 20}", chance.choice(("BUY", "SELL"))
    return Event(seq, f"id-{seq}", ORIGIN, moment, moment, symbol, "BUY" if side == "BUY" else "SELL", price, qty)


def _rate(count: Callable[[], None], events: int) -> float:
    began = time.perf_counter()
    count()
    return events / (time.perf_counter() - began)


def _fold(messages: list[list[bytes]]) -> None:
    state, lock = State(ORIGIN), threading.Lock()
    for frames in messages:
        events = wire.decode_message(frames, ORIGIN)
        with lock:
            state.apply(events, "live", 200, 2e9)


def _increment(messages: list[list[bytes]]) -> None:
    registry = CollectorRegistry()
    labels = ["symbol", "side"]
    trades = Counter("trades", "Trades.", labels, registry=registry)
    quantity = Counter("quantity", "Quantity.", labels, registry=registry)
    notional = Counter("notional", "Notional.", labels, registry=registry)
    price = Gauge("price", "Price.", ["symbol"], registry=registry)
    sizes = Histogram("sizes", "Sizes.", ["side"], buckets=NOTIONAL_BOUNDS, registry=registry)
    delay = Histogram("delay", "Delay.", buckets=DELAY_BOUNDS, registry=registry)
    for frames in messages:
        for event in wire.decode_message(frames, ORIGIN):
            amount, size = float(event.qty), float(event.qty) * float(event.price)
            trades.labels(event.symbol, event.side).inc()
            quantity.labels(event.symbol, event.side).inc(amount)
            notional.labels(event.symbol, event.side).inc(size)
            price.labels(event.symbol).set(float(event.price))
            sizes.labels(event.side).observe(size)
            delay.observe(0.01)


class _Silence:
    """A line on which nothing ever comes."""

    def receive(self, timeout: float) -> list[bytes] | None:  # noqa: ARG002 - the protocol asks for it
        """Give nothing."""
        return None


def _replay(path: Path, origin: str) -> None:
    consumer = Consumer(State(origin), _Silence(), partial(Journal, path), symbol_limit=200)
    consumer.catch_up(threading.Event())

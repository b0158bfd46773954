"""Counting events: the sidecar's state, compared with prometheus_client's own metrics updated event by event."""

import random
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from common.event import SIDES, Event
from common.journal.store import Journal
from common.settings import Settings
from common.wire.messages import decode_message, encode_message
from common.wire.transport import KeyPair
from sidecar.consumer import Consumer
from sidecar.counters import Counters
from sidecar.state import NOTIONAL_BOUNDS, State
from tests.conftest import append

EVENTS = 50_000
REPLAYED = 200_000
ROUNDS = 7
REPLAY_ROUNDS = 5
SYMBOLS = 20
SETTINGS = Settings(symbol_limit=200)
JOURNAL_ID = "0" * 32

PEERS = {
    "decode and apply, 1 in a message": "decode and inc(), 1 in a message",
    "decode and apply, 100 in a message": "decode and inc(), 100 in a message",
    "consumer's step, 1 in a message": "decode and inc(), 1 in a message",
    "consumer's step, 100 in a message": "decode and inc(), 100 in a message",
    "replay the journal": "read the journal only",
}

Messages = Sequence[list[bytes]]


def measure() -> dict[str, list[float]]:
    """Return events per second, round by round, of each way to count."""
    return _measure_messages() | _measure_replay()


def _measure_messages() -> dict[str, list[float]]:
    events = [_make_event(seq) for seq in range(1, EVENTS + 1)]
    ways: dict[str, Callable[[], int]] = {}
    for size in (1, 100):
        messages = [encode_message(events[start : start + size]) for start in range(0, EVENTS, size)]
        ways[f"decode and apply, {size} in a message"] = partial(_apply, messages)
        ways[f"consumer's step, {size} in a message"] = partial(_consume, messages)
        ways[f"decode and inc(), {size} in a message"] = partial(_increment, messages)
    return _alternate(ways, EVENTS, ROUNDS)


def _measure_replay() -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        with Journal(path, "normal") as journal:
            for start in range(1, REPLAYED + 1, 1000):
                append(journal, [_make_event(seq) for seq in range(start, start + 1000)])
            journal_id = journal.journal_id
        ways = {
            "replay the journal": partial(_replay, path, journal_id),
            "read the journal only": partial(read_journal, path),
        }
        return _alternate(ways, REPLAYED, REPLAY_ROUNDS)


def _alternate(ways: Mapping[str, Callable[[], int]], events: int, rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, count in ways.items():
            began = time.perf_counter()
            counted = count()
            found[name].append(events / (time.perf_counter() - began))
            if counted != events:
                message = f"{name}: {events} events were given, but {counted} were counted"
                raise AssertionError(message)
    return found


def _make_event(seq: int) -> Event:
    chance = random.Random(seq)
    timestamp = f"2026-01-31T09:30:00.{seq % 1_000_000:06}Z"
    price, qty = f"{chance.uniform(10, 40_000):.2f}", f"{chance.uniform(0.001, 9):.4f}"
    # Ids have the length of real ones, which is part of what is decoded.
    return Event(
        timestamp, f"SYMBOL{seq % SYMBOLS}", chance.choice(SIDES), price, qty,
        seq=seq, id=f"{seq:036}", journal_id=JOURNAL_ID, accepted_at=timestamp,
    )  # fmt: skip


def _apply(messages: Messages) -> int:
    state = State(JOURNAL_ID)
    for frames in messages:
        state.apply(_decode(frames), "live", SETTINGS, time.time())
    return sum(tally.trades for symbol in state.symbols.values() for tally in symbol.tallies.values())


def _decode(frames: list[bytes]) -> Sequence[Event]:
    events = decode_message(frames, JOURNAL_ID)
    if not isinstance(events, list):
        message = "the message holds totals, not events"
        raise TypeError(message)
    return events


class _Recording:
    """A receiver of recorded messages, and of nothing after them."""

    def __init__(self, messages: Messages) -> None:
        self._messages = iter(messages)

    def use(self, keys: KeyPair) -> None:
        """Ignore the key pair: messages are recorded."""

    def receive(self, timeout: float) -> list[bytes] | None:  # noqa: ARG002 - the protocol asks for it
        """Return the next message, None after the last."""
        return next(self._messages, None)


class _NoJournal(Journal):
    @property
    def journal_id(self) -> str:
        message = "the consumer asked the journal, though no message was missing"
        raise AssertionError(message)


def _consume(messages: Messages) -> int:
    # The clock is fixed: after a pause of the machine the consumer would read the journal.
    counters = Counters(State(JOURNAL_ID))
    consumer = Consumer(counters, _Recording(messages), _NoJournal(Path("none")), SETTINGS, clock=lambda: 0.0)
    while consumer.step():
        pass
    return counters.state.observed.events["live"]


class Metrics:
    """The trading metrics as prometheus_client's own, in floats, as a plain sidecar would keep them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        by_side = ["symbol", "side"]
        self.trades = Counter("trading_trades", "Trades.", by_side, registry=self.registry)
        self.quantity = Counter("trading_quantity", "Quantity.", by_side, registry=self.registry)
        self.notional = Counter("trading_notional", "Notional.", by_side, registry=self.registry)
        self.price = Gauge("trading_last_price", "Price.", ["symbol"], registry=self.registry)
        self.timestamp = Gauge("trading_last_trade_timestamp_seconds", "Time.", ["symbol"], registry=self.registry)
        self.sizes = Histogram(
            "trading_trade_notional",
            "Sizes.",
            ["side"],
            buckets=[float(bound) for bound in NOTIONAL_BOUNDS],
            registry=self.registry,
        )

    def increment(self, event: Event) -> None:
        """Count one event."""
        price, quantity = float(event.price), float(event.qty)
        self.trades.labels(event.symbol, event.side).inc()
        self.quantity.labels(event.symbol, event.side).inc(quantity)
        self.notional.labels(event.symbol, event.side).inc(price * quantity)
        self.price.labels(event.symbol).set(price)
        self.timestamp.labels(event.symbol).set(datetime.fromisoformat(event.ts).timestamp())
        self.sizes.labels(event.side).observe(price * quantity)


def _increment(messages: Messages) -> int:
    metrics = Metrics()
    for frames in messages:
        for event in _decode(frames):
            metrics.increment(event)
    samples = [sample for family in metrics.trades.collect() for sample in family.samples]
    return int(sum(sample.value for sample in samples if sample.name == "trading_trades_total"))


def _replay(path: Path, journal_id: str) -> int:
    counters = Counters(State(journal_id))
    consumer = Consumer(counters, _Recording([]), Journal(path), SETTINGS)
    consumer.catch_up(threading.Event())
    return counters.state.observed.events["journal"]


def read_journal(path: Path) -> int:
    """Read every event, and return their number."""
    rows = seq = 0
    with Journal(path) as journal:
        while events := journal.read_after(seq):
            rows, seq = rows + len(events), events[-1].seq
    return rows

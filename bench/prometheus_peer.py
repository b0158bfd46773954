"""The peer for counting and scraping: the trading metrics as prometheus_client's own, in floats.

``python -m bench.prometheus_peer count SIZE COUNT`` prints the processor time of a trade, ``… serve SYMBOLS`` the port
that it serves until it is ended.
"""

import json
import sys
import time
from datetime import datetime
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, start_http_server

SYMBOLS: Final = 20
SIDES: Final = ("BUY", "SELL")
BUCKETS: Final = (*(factor * 10**power for power in range(7) for factor in (1, 3)), 10**7)
"""As the sidecar's."""


class Trade(msgspec.Struct):
    """What a message has of a trade; other fields are skipped, and nothing is checked against a pattern."""

    ts: str
    symbol: str
    side: str
    price: str
    qty: str


class Metrics:
    """The metrics that a plain sidecar would keep."""

    def __init__(self) -> None:
        """Register them."""
        self.registry = CollectorRegistry()
        by_side = ["symbol", "side"]
        self.trades = Counter("trading_trades", "Trades.", by_side, registry=self.registry)
        self.quantity = Counter("trading_quantity", "Quantity.", by_side, registry=self.registry)
        self.notional = Counter("trading_notional", "Notional.", by_side, registry=self.registry)
        self.price = Gauge("trading_last_price", "Price.", ["symbol"], registry=self.registry)
        self.timestamp = Gauge("trading_last_trade_timestamp_seconds", "Time.", ["symbol"], registry=self.registry)
        self.sizes = Histogram("trading_trade_notional", "Sizes.", ["side"], buckets=BUCKETS, registry=self.registry)

    def increment(self, trade: Trade) -> None:
        """Count one trade."""
        price, quantity = float(trade.price), float(trade.qty)
        self.trades.labels(trade.symbol, trade.side).inc()
        self.quantity.labels(trade.symbol, trade.side).inc(quantity)
        self.notional.labels(trade.symbol, trade.side).inc(price * quantity)
        self.price.labels(trade.symbol).set(price)
        self.timestamp.labels(trade.symbol).set(datetime.fromisoformat(trade.ts).timestamp())
        self.sizes.labels(trade.side).observe(price * quantity)

    def count(self) -> int:
        """Return how many trades were counted."""
        samples = [sample for family in self.trades.collect() for sample in family.samples]
        return int(sum(sample.value for sample in samples if sample.name == "trading_trades_total"))


def make_trade(number: int, symbols: int = SYMBOLS) -> dict[str, str | int]:
    """Make a trade as it is in a message, with all that an event has."""
    at = f"2026-01-31T09:30:00.{number % 1_000_000:06}Z"
    return {
        "ts": at, "symbol": f"SYMBOL{number % symbols}", "side": SIDES[number % 3 == 0],
        "price": f"{20_000 + number % 7_919}.{number % 90 + 10}", "qty": f"{number % 9}.{number % 9_000 + 1_000}",
        "source": "", "ref": "", "fee": "", "seq": number, "id": f"{number:036}", "journal_id": "0" * 32,
        "accepted_at": at, "request_id": "",
    }  # fmt: skip


def count(size: int, trades: int) -> dict[str, float]:
    """Count trades of recorded messages of so many each; returns µs of processor time a trade."""
    made = [make_trade(number) for number in range(1, trades + 1)]
    messages = [msgspec.json.encode(made[start : start + size]) for start in range(0, trades, size)]
    metrics, decode = Metrics(), msgspec.json.Decoder(list[Trade]).decode
    began = time.process_time()
    for message in messages:
        for trade in decode(message):
            metrics.increment(trade)
    return {"µs": (time.process_time() - began) / trades * 1e6, "counted": metrics.count()}


def serve(symbols: int) -> None:
    """Serve the series of so many symbols until the input ends."""
    # As many series as the sidecar has: without one more for the time of creation of each.
    disable_created_metrics()
    metrics = Metrics()
    for number in range(symbols):
        for side in SIDES:
            metrics.increment(Trade("2026-01-31T09:30:00.000000Z", f"SYMBOL{number}", side, "100.25", "3"))
    server, _ = start_http_server(0, "127.0.0.1", metrics.registry)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[1] == "count":
        sys.stdout.write(json.dumps(count(int(sys.argv[2]), int(sys.argv[3]))))
    else:
        serve(int(sys.argv[2]))

"""Shared by all tests: fixed trades and events, and programs that may be missing outside CI."""

import itertools
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from msgspec.structs import asdict

from common.event import Event, Trade
from common.journal.appending import AppendResult, KeyedTrade, Request
from common.journal.store import Journal
from common.wire.hints import Hint
from common.wire.transport import make_key_pair

# The same examples in every run, without deadlines; HYPOTHESIS_PROFILE="thorough" draws many new ones.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, database=None, print_blob=True)
hypothesis.settings.register_profile("thorough", max_examples=1000, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

ROOT = Path(__file__).resolve().parent.parent
JOURNAL_ID = "a" * 32


KEYS = make_key_pair()


def name_worker(number: int) -> str:
    """Return the name of a worker that started at this millisecond since 1970."""
    return f"{number:012x}7000{'8':0<16}"


AT = "2026-01-31T09:30:00.000000Z"
TRADE: dict[str, Any] = {"ts": AT, "symbol": "BTCUSDT", "side": "BUY", "price": "100.50", "qty": "2"}


def make_event(seq: int, **fields: str | None) -> Event:
    accepted: dict[str, Any] = {"seq": seq, "id": f"id-{seq}", "journal_id": JOURNAL_ID, "accepted_at": AT}
    return Event(**(TRADE | accepted | fields))


def make_hint(event: Event, request_id: str = "") -> Hint:
    fields = asdict(event)
    return Hint(**{name: fields[name] for name in Hint.__struct_fields__ if name in fields}, request_id=request_id)


def receive_hints(events: Iterable[Event], at: float = 1e10) -> list[tuple[list[Hint], float]]:
    """Return events as hints that were received ``at`` this time, each alone."""
    return [([make_hint(event)], at) for event in events]


def make_trade(**fields: str) -> Trade:
    return Trade(**(TRADE | fields))


def append(journal: Journal, trades: Iterable[Trade]) -> list[Event]:
    """Append trades in one transaction, and return their events; a given event keeps its time of acceptance only."""
    requests = [
        Request([KeyedTrade(trade) for trade in group], accepted_at)
        for accepted_at, group in itertools.groupby(trades, _read_time)
    ]
    results = journal.append(requests)
    return [event for result in results if isinstance(result, AppendResult) for event in result.events]


def _read_time(trade: Trade) -> str:
    return trade.accepted_at if isinstance(trade, Event) else AT


BUY = Trade("2026-01-31T09:30:00.000000Z", "BTCUSDT", "BUY", "27123.450", "0.25")
SELL = Trade("2026-01-31T09:30:01.000000Z", "ETHUSDT", "SELL", "1666.8", "26.062")


def require(part: str | None, what: str) -> str:
    """Skip the test when the part is missing; fail it if CI=true."""
    if part is None:
        reason = f"{what} is missing"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return part


def require_program(*names: str) -> str:
    found = next((path for name in names if (path := shutil.which(name))), None)
    return require(found, f"the program {' or '.join(names)}")

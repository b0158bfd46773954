"""Files of earlier releases (tests/data/README.md) are read by this one, and no counter falls."""

import json
import re
import shutil
import threading
from bisect import bisect_left
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from common.journal.store import Journal
from common.wire.transport import KeyPair
from sidecar.collector import StateCollector
from sidecar.consumer import Consumer
from sidecar.counters import Counters
from sidecar.retention import read_checkpoint
from sidecar.snapshot import load_snapshot
from sidecar.state import NOTIONAL_BOUNDS, State
from tests.conftest import ROOT
from tests.sidecar.test_collector import NO_STARTS, make_sight
from tests.system.faults.client import read_counters
from webapp.cli.audit import fold, total_journal

LIMIT = 3
REGISTERED = ["DOGEUSDT"]
OWN = {"BTCUSDT", "ETHUSDT"}
COUNTED = 90
"""Trades in the snapshot."""

Totals = dict[tuple[str, str], tuple[int, Decimal, Decimal]]


@pytest.fixture(params=sorted(path.name for path in (ROOT / "tests" / "data").iterdir() if path.is_dir()))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return shutil.copytree(ROOT / "tests" / "data" / request.param, tmp_path / "data")


@pytest.fixture
def journal(folder: Path) -> Iterator[Journal]:
    with Journal(folder / "journal.db") as journal:
        yield journal


def add_up(folder: Path, count: int | None, *, limited: bool) -> Totals:
    totals: Totals = {}
    for trade in json.loads((folder / "trades.json").read_text())[:count]:
        symbol = trade["symbol"] if not limited or trade["symbol"] in OWN else "other"
        price, quantity = Decimal(trade["price"]), Decimal(trade["qty"])
        trades, quantities, notional = totals.get((symbol, trade["side"]), (0, Decimal(0), Decimal(0)))
        totals[symbol, trade["side"]] = (trades + 1, quantities + quantity, notional + price * quantity)
    return totals


def total(state: State) -> Totals:
    return {
        (name, side): (tally.trades, tally.quantity, tally.notional)
        for name, symbol in state.symbols.items()
        for side, tally in symbol.tallies.items()
        if tally.trades
    }


def check_notionals(state: State, folder: Path, count: int | None) -> None:
    expected = {side: [0] * (len(NOTIONAL_BOUNDS) + 1) for side in ("BUY", "SELL")}
    for trade in json.loads((folder / "trades.json").read_text())[:count]:
        notional = Decimal(trade["price"]) * Decimal(trade["qty"])
        expected[trade["side"]][bisect_left(NOTIONAL_BOUNDS, notional)] += 1
    assert {side: list(histogram.buckets.values()) for side, histogram in state.notional.items()} == expected
    sums = dict.fromkeys(expected, Decimal(0))
    for (_, side), (_, _, notional) in add_up(folder, count, limited=True).items():
        sums[side] += notional
    assert {side: histogram.total for side, histogram in state.notional.items()} == sums


class NoMessages:
    def use(self, keys: KeyPair) -> None:
        """Ignore the key pair."""

    def receive(self, timeout: float) -> list[bytes] | None:  # noqa: ARG002 - part of the protocol
        return None


def make_consumer(state: State, journal: Journal) -> Consumer:
    return Consumer(
        Counters(state), NoMessages(), partial(Journal, journal.path), symbol_limit=LIMIT, trading_symbols=REGISTERED
    )


def expose(state: State) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(StateCollector(make_sight(state), NO_STARTS))
    return read_counters(generate_latest(registry).decode())


@pytest.mark.parametrize("name", ["snapshot", "snapshot.previous"])
def test_a_snapshot_is_loaded_with_every_total_and_counting_continues(
    folder: Path, journal: Journal, name: str
) -> None:
    state = load_snapshot(folder / name, read_checkpoint(journal, REGISTERED), journal.last_seq())
    assert state is not None
    assert state.last_seq == COUNTED
    assert total(state) == add_up(folder, COUNTED, limited=True)
    check_notionals(state, folder, COUNTED)
    make_consumer(state, journal).catch_up(threading.Event())
    assert state.last_seq == journal.last_seq()
    assert total(state) == add_up(folder, None, limited=True)
    check_notionals(state, folder, None)


RENAMED = {
    'sidecar_rejected_total{reason="origin"}': 'sidecar_messages_rejected_total{reason="journal_id"}',
    "sidecar_rejected_total": "sidecar_messages_rejected_total",
    "sidecar_repeats_total": "sidecar_duplicates_total",
    "sidecar_symbols_folded_total": "sidecar_overflow_trades_total",
}
"""Counters that had another name in 0.1.0."""


def test_no_counter_falls_or_vanishes(folder: Path, journal: Journal) -> None:
    state = load_snapshot(folder / "snapshot", read_checkpoint(journal, REGISTERED), journal.last_seq())
    assert state is not None
    exposed = read_counters(
        re.sub("|".join(map(re.escape, RENAMED)), lambda found: RENAMED[found[0]], (folder / "metrics.txt").read_text())
    )
    now = expose(state)
    assert exposed
    assert {name: (value, now.get(name)) for name, value in exposed.items() if now.get(name, -1) < value} == {}
    assert set(state.observed.delay.exemplars) == {"0.001", "0.0025", "0.005", "0.01"}


def test_a_journal_alone_is_counted_from_its_checkpoint(folder: Path, journal: Journal) -> None:
    state = read_checkpoint(journal, REGISTERED)
    assert state.last_seq == 60
    assert total(state) == add_up(folder, 60, limited=True)
    make_consumer(state, journal).catch_up(threading.Event())
    assert total(state) == add_up(folder, None, limited=True)
    check_notionals(state, folder, None)


def test_a_journal_is_audited_with_what_was_pruned_from_it(folder: Path, journal: Journal) -> None:
    # In the checkpoint, symbols past the limit are already counted under other.
    audited = total_journal(journal, 100)
    totals: Totals = {}
    for (symbol, side), tally in fold(audited, OWN).items():
        totals[symbol, side] = (tally.trades, tally.quantity, tally.notional)
    assert totals == add_up(folder, None, limited=True)

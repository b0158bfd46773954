"""Files of earlier releases (tests/data/README.md) are read by this one, and no counter falls."""

import json
import re
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from common.event import SIDES
from common.histogram import Histogram
from common.journal.store import Journal
from common.quotes import CURRENCIES, OTHER_QUOTE, find_quote
from common.settings import Settings
from common.tally import read_fills
from common.wire.transport import KeyPair
from sidecar.collector import StateCollector
from sidecar.consumer import Consumer
from sidecar.counters import Counters
from sidecar.retention import read_checkpoint
from sidecar.snapshot import Snapshots, load_snapshot
from sidecar.state import NOTIONAL_BOUNDS, State
from tests.conftest import ROOT
from tests.sidecar.test_collector import NO_STARTS, make_sight
from tests.system.faults.client import read_counters
from webapp.cli.audit import fold, total_journal

SETTINGS = Settings(symbol_limit=3, trading_symbols=("DOGEUSDT",))
OWN = {"BTCUSDT", "ETHUSDT"}
COUNTED = 90
"""Trades in the snapshot."""
PRUNED = 60
"""Trades in the checkpoint alone."""

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


def check_notionals(state: State, folder: Path) -> None:
    """Check the notional histograms: earlier versions did not tell the quotes of the trades they pruned apart."""
    expected = {quote: {side: Histogram.over(NOTIONAL_BOUNDS) for side in SIDES} for quote in (OTHER_QUOTE, "USDT")}
    for seq, trade in enumerate(json.loads((folder / "trades.json").read_text()), start=1):
        fills = read_fills([trade["price"]], [trade["qty"]])
        _, notional = fills.total(0, 1)
        quote = OTHER_QUOTE if seq <= PRUNED else find_quote(trade["symbol"], CURRENCIES)
        expected[quote][trade["side"]].count(fills.notionals, fills.notional_places, notional)
    assert state.notional == expected
    assert list(state.sources.totals) == [""]
    for quote, histograms in expected.items():
        assert state.sources.notional[f" {quote}"] == {side: each.total for side, each in histograms.items()}


def check_positions(state: State, folder: Path) -> None:
    """Check the positions: what was pruned before they were kept is in none of them."""
    quantities: dict[str, Fraction] = defaultdict(Fraction)
    for trade in json.loads((folder / "trades.json").read_text())[PRUNED:]:
        if trade["symbol"] in OWN:
            quantities[trade["symbol"]] += Fraction(trade["qty"]) * (1 if trade["side"] == "BUY" else -1)
    assert state.positions is not None
    assert state.positions.after_seq == PRUNED
    assert {row.symbol: Fraction(row.position.quantity) for row in state.positions.list_rows()} == quantities


class NoMessages:
    def use(self, keys: KeyPair) -> None:
        """Ignore the key pair."""

    def receive(self, timeout: float) -> list[bytes] | None:  # noqa: ARG002 - part of the protocol
        return None


def make_consumer(state: State, journal: Journal) -> Consumer:
    return Consumer(Counters(state, SETTINGS), NoMessages(), Journal(journal.path), SETTINGS)


def expose(state: State) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(StateCollector(make_sight(state), NO_STARTS))
    return read_counters(generate_latest(registry).decode())


@pytest.mark.parametrize("name", ["snapshot", "snapshot.previous"])
def test_a_snapshot_is_loaded_with_every_total(folder: Path, journal: Journal, name: str) -> None:
    snapshot = load_snapshot(folder / name, read_checkpoint(journal, SETTINGS), journal.last_seq())
    assert snapshot is not None
    assert snapshot.state.last_seq == COUNTED
    assert total(snapshot.state) == add_up(folder, COUNTED, limited=True)
    assert snapshot.state.find_fault() is None


@pytest.mark.parametrize("name", ["snapshot", "snapshot.previous"])
def test_the_trades_in_a_snapshot_without_quotes_are_counted_again_and_its_other_counters_are_kept(
    folder: Path, journal: Journal, name: str
) -> None:
    snapshot = load_snapshot(folder / name, State(journal.journal_id), journal.last_seq())
    assert snapshot is not None
    old = snapshot.state.observed
    state = Snapshots(folder / name).load(journal, read_checkpoint(journal, SETTINGS), SETTINGS)
    make_consumer(state, journal).catch_up(threading.Event())
    assert state.last_seq == journal.last_seq()
    assert total(state) == add_up(folder, None, limited=True)
    check_notionals(state, folder)
    assert state.observed.events == {"live": old.events["live"], "journal": 100 - old.events["live"]}
    assert (state.observed.delay, state.observed.workers) == (old.delay, old.workers)
    check_positions(state, folder)


RENAMED = {
    'sidecar_rejected_total{reason="origin"}': 'sidecar_messages_rejected_total{reason="journal_id"}',
    "sidecar_rejected_total": "sidecar_messages_rejected_total",
    "sidecar_repeats_total": "sidecar_duplicates_total",
    "sidecar_symbols_folded_total": "sidecar_overflow_trades_total",
}
"""Counters that had another name in 0.1.0."""


def test_no_counter_falls_or_vanishes(folder: Path, journal: Journal) -> None:
    state = Snapshots(folder / "snapshot").load(journal, read_checkpoint(journal, SETTINGS), SETTINGS)
    exposed = read_counters(
        re.sub("|".join(map(re.escape, RENAMED)), lambda found: RENAMED[found[0]], (folder / "metrics.txt").read_text())
    )
    now: dict[str, float] = defaultdict(float)
    for name, value in expose(state).items():
        # Until version 4 the notional histogram had no quote.
        now[re.sub(r'quote="\w+",', "", name)] += value
    assert exposed
    assert {name: (value, now.get(name)) for name, value in exposed.items() if now.get(name, -1) < value} == {}
    assert set(state.observed.delay.exemplars) == {"0.001", "0.0025", "0.005", "0.01"}


def test_a_journal_alone_is_counted_from_its_checkpoint(folder: Path, journal: Journal) -> None:
    state = read_checkpoint(journal, SETTINGS)
    assert state.last_seq == PRUNED
    assert total(state) == add_up(folder, PRUNED, limited=True)
    make_consumer(state, journal).catch_up(threading.Event())
    assert total(state) == add_up(folder, None, limited=True)
    check_notionals(state, folder)


def test_a_journal_is_audited_with_what_was_pruned_from_it(folder: Path, journal: Journal) -> None:
    # In the checkpoint, symbols past the limit are already counted under other.
    audited = total_journal(journal, 100)
    totals: Totals = {}
    for (symbol, side), tally in fold(audited, OWN).items():
        totals[symbol, side] = (tally.trades, tally.quantity, tally.notional)
    assert totals == add_up(folder, None, limited=True)

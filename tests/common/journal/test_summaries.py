"""Totals of a window: what was kept and merged is always what the trades of the journal add up to."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common.event import SIDES, Event
from common.journal import block_ranges, block_tree
from common.journal.block_ranges import BlockRanges
from common.journal.store import Journal
from common.journal.summaries import Span, SymbolSummary, TotalsReader, add_up, find_span
from common.tally import EXACT
from common.timestamps import format_timestamp
from tests.conftest import append, make_event

START = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
BLOCK = 2

AMOUNTS = ("1", "0.10", "2.5", f"{'9' * 20}.{'9' * 18}", f"0.{'0' * 17}1")
TRADES = st.lists(
    st.tuples(
        st.sampled_from("ABC"), st.sampled_from(SIDES), st.sampled_from(AMOUNTS), st.sampled_from(AMOUNTS),
        st.integers(-12, 3),
    ),
    max_size=12,
)  # fmt: skip
"""Symbol, side, price, quantity, and when it was accepted, in seconds after now: clocks step, hubs are late."""

STEPS = st.one_of(
    st.tuples(st.just("append"), TRADES),
    st.tuples(st.just("wait"), st.integers(-3, 8)),
    st.tuples(st.just("prune"), st.integers(0, 9)),
    st.tuples(st.just("replace"), st.booleans()),
)


class Desk:
    """A journal, a clock, and what one worker keeps of the totals."""

    def __init__(self, path: Path) -> None:
        self.journal = Journal(path, "normal").open()
        self.clock = START
        self._blocks, self._reader = BlockRanges(), TotalsReader()

    def take(self, what: str, value: object) -> None:
        if isinstance(value, list):
            trades = [
                make_event(
                    0, symbol=symbol, side=side, price=price, qty=quantity,
                    accepted_at=format_timestamp(self.clock + timedelta(seconds=age)),
                )
                for symbol, side, price, quantity, age in value
            ]  # fmt: skip
            append(self.journal, trades)
        elif what == "replace":
            self.journal.close()
            if value:
                self.journal.path.unlink()
        elif isinstance(value, int) and what == "wait":
            self.clock += timedelta(seconds=value)
        elif isinstance(value, int):
            pruned = max(self.journal.pruned_seq(), self.journal.last_seq() - value)
            self.journal.prune(pruned, b"{}")

    def read(self, seconds: int) -> dict[str, SymbolSummary]:
        return self.read_span(self.find_span(seconds))

    def find_span(self, seconds: int) -> Span:
        while not self._blocks.step(self.journal):
            pass
        return find_span(self.journal, self._blocks, timedelta(seconds=seconds), clock=lambda: self.clock)

    def read_span(self, span: Span) -> dict[str, SymbolSummary]:
        found = []
        while span.parts:
            found += self._reader.step(self.journal, span)
        return add_up(found)

    def read_afresh(self, seconds: int) -> dict[str, SymbolSummary]:
        since, until = (format_timestamp(self.clock - timedelta(seconds=age)) for age in (seconds, 0))
        totals: dict[str, SymbolSummary] = {}
        for event in self.journal.read_after(0):
            if since <= event.accepted_at <= until:
                totals[event.symbol] = _count(totals.get(event.symbol) or SymbolSummary(event.symbol, "other"), event)
        return totals


def _count(total: SymbolSummary, event: Event) -> SymbolSummary:
    bought = event.side == "BUY"
    notional = EXACT.multiply(Decimal(event.price), Decimal(event.qty))
    return SymbolSummary(
        total.symbol,
        total.quote,
        total.trades + 1,
        total.buys + bought,
        EXACT.add(total.buy_notional, notional) if bought else total.buy_notional,
        EXACT.add(total.quantity, Decimal(event.qty)),
        EXACT.add(total.notional, notional),
        event.price,
        event.accepted_at,
    )


def write(totals: dict[str, SymbolSummary]) -> dict[str, str]:
    """Write every digit, so that 1.0 is not 1.00."""
    return {symbol: str(total) for symbol, total in totals.items()}


@pytest.mark.parametrize("entries", [8, 1000])
@hypothesis_settings(max_examples=30)
@given(steps=st.lists(STEPS, max_size=25))
def test_totals_are_those_of_the_journals_trades_whatever_came_before(
    entries: int, steps: Sequence[tuple[str, object]]
) -> None:
    with (
        mock.patch.multiple(block_tree, FAN=2, ENTRIES=entries),
        mock.patch.object(block_ranges, "BLOCK", BLOCK),
        TemporaryDirectory() as folder,
    ):
        desk = Desk(Path(folder) / "journal.db")
        with desk.journal:
            for step in steps:
                desk.take(*step)
                for seconds in (5, 20):
                    assert write(desk.read(seconds)) == write(desk.read_afresh(seconds))


def test_a_journal_that_is_replaced_while_an_answer_is_made_leaves_nothing_of_it_in_the_next(tmp_path: Path) -> None:
    with mock.patch.multiple(block_tree, FAN=2), mock.patch.object(block_ranges, "BLOCK", 4):
        desk = Desk(tmp_path / "journal.db")
        with desk.journal:
            append(desk.journal, [make_event(0, symbol="A", accepted_at=format_timestamp(START)) for _ in range(12)])
            span = desk.find_span(60)
            desk.journal.close()
            for file in tmp_path.glob("journal.db*"):
                file.unlink()
            with Journal(desk.journal.path, "normal") as other:
                append(other, [make_event(0, symbol="A", accepted_at=format_timestamp(START)) for _ in range(6)])
            desk.read_span(span)
            append(desk.journal, [make_event(0, symbol="A", accepted_at=format_timestamp(START)) for _ in range(4)])
            assert write(desk.read(60)) == write(desk.read_afresh(60))


def test_a_long_window_of_many_symbols_is_read_once(tmp_path: Path) -> None:
    with (
        mock.patch.multiple(block_tree, ENTRIES=120),
        mock.patch.object(block_ranges, "BLOCK", 8),
        mock.patch.object(TotalsReader, "_read", autospec=True, side_effect=TotalsReader._read) as read,  # noqa: SLF001 - each call reads a part
    ):
        desk = Desk(tmp_path / "journal.db")
        with desk.journal:
            append(
                desk.journal,
                [make_event(0, symbol=f"S{n % 8}", accepted_at=format_timestamp(START)) for n in range(1024)],
            )
            desk.read(60)
            assert read.call_count == 128
            desk.read(60)
            append(desk.journal, [make_event(0, accepted_at=format_timestamp(START))])
            assert desk.read(60)["S0"].trades == 128
            assert read.call_count == 129

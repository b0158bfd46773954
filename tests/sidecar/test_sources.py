from decimal import Decimal

import pytest

from common.settings import Settings
from sidecar.sources import OTHER_SOURCE, UNNAMED, Sources
from sidecar.state import State
from tests.conftest import JOURNAL_ID, make_event


def test_sources_past_the_limit_are_counted_under_other_and_trades_without_one_are_apart() -> None:
    state = State(JOURNAL_ID)
    names = ["bot-1", "", "bot-2", "bot-3", "bot-1", "bot-4", ""]
    events = [make_event(seq, source=name) for seq, name in enumerate(names, start=1)]
    state.apply(events, "journal", Settings(source_limit=2))
    trades = {source: totals.trades["BUY"] for source, totals in state.sources.totals.items()}
    assert trades == {UNNAMED: 2, "bot-1": 2, "bot-2": 1, OTHER_SOURCE: 2}
    assert sum(trades.values()) == state.count_trades()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sources: sources.totals.pop(""),
        lambda sources: sources.totals[""].trades.pop("BUY"),
        lambda sources: sources.notional.pop(" USDT") and sources.notional.update({"bot-9 USDT": {}}),
        lambda sources: setattr(sources.totals[""], "last_ts", "2026-13-01T00:00:00.000000Z"),
        lambda sources: sources.totals[""].trades.update(BUY=7),
    ],
)
def test_totals_by_source_that_no_trades_lead_to_are_a_fault(spoil: object) -> None:
    state = State(JOURNAL_ID)
    state.apply([make_event(1)], "journal", Settings())
    assert state.find_fault() is None
    assert callable(spoil)
    spoil(state.sources)
    assert state.find_fault() is not None


def test_a_source_that_is_named_has_its_limit_of_silence_and_the_others_have_theirs_once_they_trade() -> None:
    state = State(JOURNAL_ID)
    state.apply([make_event(1, source="bot-1"), make_event(2, source="bot-2")], "journal", Settings())
    limits = state.sources.find_silence_limits
    assert limits({}) == {}
    assert limits({"bot-1": 600, "bot-9": 60}) == {"bot-1": 600, "bot-9": 60}
    assert limits({"bot-1": 0, "*": 3600}) == {"bot-2": 3600}
    state.apply([make_event(3)], "journal", Settings())
    assert limits({"bot-1": 600, "*": 3600}) == {"bot-1": 600, "bot-2": 3600, UNNAMED: 3600}


def test_an_impossible_sum_is_rejected() -> None:
    with pytest.raises(ValueError, match="notional"):
        Sources(notional={" USDT": {"BUY": Decimal(-1)}})

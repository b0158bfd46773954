import pytest

from common.settings import Settings
from sidecar.counters import Counters
from sidecar.overflow import LOG_SECONDS, LOG_SYMBOLS, OverflowLog
from sidecar.state import State
from tests.conftest import JOURNAL_ID, make_event


def test_the_most_frequent_symbols_past_the_limit_are_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(symbol_limit=1)
    counters, seconds = Counters(State(JOURNAL_ID), settings), 0.0
    log = OverflowLog(counters, 1, lambda: seconds)
    log.step()
    assert caplog.records == []
    names = ["FIRST", *(f"S{number}" for number in range(9) for _ in range(number))]
    counters.state.apply([make_event(seq, symbol=name) for seq, name in enumerate(names, start=1)], "journal", settings)
    log.step()
    counters.state.apply([make_event(99, symbol="MORE")], "journal", settings)
    log.step()
    (first,) = caplog.records
    assert first.message == "symbol limit exceeded"
    assert first.__dict__["worst"] == ["S8", "S7", "S6", "S5", "S4"][:LOG_SYMBOLS]
    assert (first.__dict__["trades"], first.__dict__["limit"]) == (36, 1)
    seconds += LOG_SECONDS
    log.step()
    log.step()
    assert [record.__dict__["trades"] for record in caplog.records] == [36, 37]

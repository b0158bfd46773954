from decimal import InvalidOperation

import pytest

from sidecar.counters import Counters
from sidecar.state import State
from tests.conftest import JOURNAL_ID, make_event, make_hint


def test_after_a_failure_the_counters_are_neither_read_nor_counted_further() -> None:
    counters = Counters(State(JOURNAL_ID))
    # No message has such a fee; it stands for any failure between two tallies.
    counters.receive([make_hint(make_event(1)), make_hint(make_event(2, fee="x"))], 0)
    with pytest.raises(InvalidOperation):
        counters.state.count_trades()
    with pytest.raises(RuntimeError, match="start the sidecar again"):
        counters.state.count_trades()
    with pytest.raises(RuntimeError, match="start the sidecar again"):
        counters.count([], 0)

from pathlib import Path

import pytest

from common.errors import JournalError
from common.journal.store import Journal
from common.tally import Tally
from tests.conftest import append, make_event
from webapp.cli.audit import fold, total_journal


def test_merged_totals_keep_every_digit() -> None:
    widest, smallest = Tally(), Tally()
    widest.add(["999999999999999999"], ["999999999999999999"])
    smallest.add(["0.000000000001"], ["0.000000000001"])
    merged = fold({("A", "BUY"): widest, ("B", "BUY"): smallest, ("C", "SELL"): Tally()}, known={"D"})
    assert f"{merged['other', 'BUY'].quantity:f}" == "999999999999999999.000000000001"
    assert f"{merged['other', 'BUY'].notional:f}" == "999999999999999998000000000000000001.000000000000000000000001"


@pytest.mark.parametrize(
    "checkpoint",
    [
        b"{",
        b"[]",
        b"\xff",
        b'{"last_seq":"1"}',
        b'{"last_seq":-1}',
        b'{"symbols":{"A":{"tallies":{"BUY":{"trades":-1}}}}}',
        b'{"symbols":{"A":{"tallies":{"BUY":{"trades":1,"quantity":"NaN"}}}}}',
    ],
)
def test_a_damaged_checkpoint_is_reported(tmp_path: Path, checkpoint: bytes) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        journal.prune(0, checkpoint)
        with pytest.raises(JournalError, match=r"journal .*checkpoint") as caught:
            total_journal(journal, 1)
    assert caught.value.reason == "corrupt"


def test_the_journal_is_totalled_up_to_what_the_sidecar_has_counted(tmp_path: Path) -> None:
    events = [make_event(0, symbol=f"S{number % 3}", price="2.5", qty="3") for number in range(20)]
    with Journal(tmp_path / "journal.db") as journal:
        append(journal, events)
        totals = total_journal(journal, 14)
        assert {symbol: tally.trades for (symbol, _), tally in totals.items()} == {"S0": 5, "S1": 5, "S2": 4}
        assert str(totals["S2", events[0].side].notional) == "30.0"
        assert journal.count_after(14) == 6

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from sidecar.retention import Pruner, read_base
from sidecar.state import State
from tape.errors import JournalError
from tape.event import now, write_instant
from tape.journal import Journal
from tests.conftest import make_event


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as journal:
        yield journal


def make_pruner(journal: Journal, retention: float, symbols: Sequence[str] = ()) -> Pruner:
    return Pruner(
        partial(Journal, journal.path),
        retention=timedelta(seconds=retention),
        keys_kept=timedelta(hours=24),
        symbol_limit=3,
        trading_symbols=symbols,
    )


def fill(journal: Journal, count: int, age: timedelta) -> None:
    moment = write_instant(now() - age)
    start = journal.last_seq()
    journal.append(
        [
            make_event(0, id=f"{start + n}", symbol=f"S{n % 5}", price=f"{n + 1}.0{n % 10}", accepted_at=moment)
            for n in range(count)
        ]
    )


def count_anew(journal: Journal, symbols: Sequence[str] = ()) -> State:
    state = read_base(journal, symbols)
    state.apply(journal.read_after(state.last_seq, 10**6), "journal", 3)
    return state


def test_pruning_changes_no_total_and_gives_the_space_back(journal: Journal) -> None:
    fill(journal, 3000, timedelta(hours=2))
    fill(journal, 50, timedelta())
    before = count_anew(journal)
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]  # noqa: SLF001 - what the file takes
    pruner = make_pruner(journal, 3600)
    assert pruner.step(saved_seq=3050, seconds=10) == 3000
    assert pruner.step(saved_seq=3050, seconds=10) == 0
    assert len(journal.read_after(0)) == 50
    assert count_anew(journal) == before
    assert journal._db.execute("PRAGMA page_count").fetchone()[0] < pages / 5  # noqa: SLF001
    assert journal.last_seq() == 3050
    pruner.close()


def test_pruned_symbols_fold_as_they_did_live_where_some_are_registered(journal: Journal) -> None:
    registered = ["X", "Y"]
    fill(journal, 100, timedelta(hours=2))
    before = count_anew(journal, registered)
    assert set(before.symbols) == {"X", "Y", "S0", "other"}
    pruner = make_pruner(journal, 3600, registered)
    assert pruner.step(saved_seq=60, seconds=10) == 60
    assert count_anew(journal, registered) == before
    pruner.close()


def test_what_no_snapshot_holds_stays(journal: Journal) -> None:
    fill(journal, 1000, timedelta(hours=2))
    pruner = make_pruner(journal, 60)
    assert pruner.step(saved_seq=0, seconds=10) == 0
    assert pruner.step(saved_seq=321, seconds=10) == 321
    assert journal.read_after(0)[0].seq == 322
    pruner.close()


def test_without_a_retention_everything_stays(journal: Journal) -> None:
    fill(journal, 10, timedelta(days=1000))
    pruner = make_pruner(journal, 0)
    assert pruner.step(saved_seq=10, seconds=10) == 0
    assert len(journal.read_after(0)) == 10
    pruner.close()


def test_a_step_ends_in_time(journal: Journal) -> None:
    fill(journal, 3000, timedelta(hours=2))
    ticks = iter(range(100))
    pruner = Pruner(
        partial(Journal, journal.path),
        retention=timedelta(seconds=60),
        keys_kept=timedelta(hours=24),
        symbol_limit=3,
        clock=lambda: float(next(ticks)),
    )
    assert pruner.step(saved_seq=3000, seconds=2.5) == 1000
    pruner.close()


def test_a_base_of_another_version_is_said(journal: Journal) -> None:
    journal.prune(0, b"{}")
    with pytest.raises(JournalError, match="base"):
        read_base(journal, [])


def test_the_default_clock_is_monotonic() -> None:
    assert (Pruner.__init__.__kwdefaults__ or {})["clock"] is time.monotonic

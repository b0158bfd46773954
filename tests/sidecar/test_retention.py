import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import JournalError
from common.journal.hub import Batch
from common.journal.store import Journal
from common.settings import Settings
from common.timestamps import format_timestamp, now
from sidecar.retention import Pruner, read_checkpoint
from sidecar.state import State
from tests.conftest import JOURNAL_ID, ROOT, append, make_event


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as journal:
        yield journal


def make_settings(retention: float, symbols: Sequence[str] = ()) -> Settings:
    return Settings(journal_retention=int(retention), symbol_limit=3, trading_symbols=tuple(symbols))


def make_pruner(journal: Journal, retention: float, symbols: Sequence[str] = ()) -> Pruner:
    return Pruner(Journal(journal.path), make_settings(retention, symbols), kept_seconds=0)


def fill(journal: Journal, count: int, age: timedelta) -> None:
    accepted_at = format_timestamp(now() - age)
    append(
        journal,
        [make_event(0, symbol=f"S{n % 5}", price=f"{n + 1}.0{n % 10}", accepted_at=accepted_at) for n in range(count)],
    )


def recount(journal: Journal, symbols: Sequence[str] = ()) -> State:
    settings = make_settings(0, symbols)
    state = read_checkpoint(journal, settings)
    state.apply(journal.read_after(state.last_seq, 10**6), "journal", settings)
    return state


def test_pruning_changes_no_total_and_gives_the_space_back(journal: Journal) -> None:
    empty = journal.query("PRAGMA page_count")[0][0]
    fill(journal, 3000, timedelta(hours=2))
    fill(journal, 50, timedelta())
    before = recount(journal)
    pages = journal.query("PRAGMA page_count")[0][0]
    pruner = make_pruner(journal, 3600)
    assert pruner.step(saved_seq=3050, seconds=10) == 3000
    assert pruner.step(saved_seq=3050, seconds=10) == 0
    assert len(journal.read_after(0)) == 50
    assert recount(journal) == before
    assert journal.query("PRAGMA page_count")[0][0] - empty < (pages - empty) / 5
    assert journal.last_seq() == 3050
    pruner.close()


def test_a_host_that_pushes_keeps_what_is_not_in_its_stream(journal: Journal) -> None:
    fill(journal, 1500, timedelta(hours=2))
    pruner = Pruner(Journal(journal.path), Settings(journal_retention=3600, relay_transport="nats"), kept_seconds=0)
    assert pruner.step(saved_seq=1500, seconds=10) == 0
    journal.note_pushed(700)
    assert pruner.step(saved_seq=1500, seconds=10) == 700
    # A hub has asked for trades again: the mark is lower, and there is nothing to prune.
    journal.note_pushed(600)
    assert pruner.step(saved_seq=1500, seconds=10) == 0
    journal.note_pushed(1500)
    assert pruner.step(saved_seq=1400, seconds=10) == 700
    pruner.close()


def test_a_hub_that_reads_a_stream_prunes_as_every_journal(journal: Journal) -> None:
    journal.adopt()
    events = [make_event(n + 1, accepted_at=format_timestamp(now() - timedelta(hours=2))) for n in range(10)]
    journal.append_batches([Batch(JOURNAL_ID, 0, events)])
    pruner = Pruner(Journal(journal.path), Settings(journal_retention=3600, relay_transport="nats"), kept_seconds=0)
    assert pruner.step(saved_seq=10, seconds=10) == 10
    pruner.close()


def test_pruned_trades_keep_their_symbols_and_their_overflow_where_some_are_registered(journal: Journal) -> None:
    registered = ["X", "Y"]
    fill(journal, 100, timedelta(hours=2))
    before = recount(journal, registered)
    assert set(before.symbols) == {"X", "Y", "S0", "other"}
    pruner = make_pruner(journal, 3600, registered)
    assert pruner.step(saved_seq=60, seconds=10) == 60
    assert recount(journal, registered) == before
    pruner.close()


def test_a_symbol_that_is_registered_after_trades_were_pruned_has_its_series(journal: Journal) -> None:
    fill(journal, 10, timedelta(hours=2))
    pruner = make_pruner(journal, 3600)
    assert pruner.step(saved_seq=10, seconds=10) == 10
    assert "LATER" in read_checkpoint(journal, make_settings(3600, ["LATER"])).symbols
    pruner.close()


def test_trades_that_no_snapshot_holds_are_kept(journal: Journal) -> None:
    fill(journal, 1000, timedelta(hours=2))
    pruner = make_pruner(journal, 60)
    assert pruner.step(saved_seq=0, seconds=10) == 0
    assert pruner.step(saved_seq=321, seconds=10) == 321
    assert journal.read_after(0)[0].seq == 322
    pruner.close()


def test_without_a_retention_every_trade_is_kept(journal: Journal) -> None:
    fill(journal, 10, timedelta(days=1000))
    pruner = make_pruner(journal, 0)
    assert pruner.step(saved_seq=10, seconds=10) == 0
    assert len(journal.read_after(0)) == 10
    pruner.close()


def test_a_step_ends_in_time(journal: Journal) -> None:
    fill(journal, 3000, timedelta(hours=2))
    ticks = iter(range(100))
    pruner = Pruner(Journal(journal.path), make_settings(60), kept_seconds=0, clock=lambda: float(next(ticks)))
    assert pruner.step(saved_seq=3000, seconds=2.5) == 1000
    pruner.close()


@pytest.mark.parametrize("checkpoint", [b"{}", b"{", b"\xff", b'{"journal_id":"a","last_seq":-1}'])
def test_a_damaged_checkpoint_is_a_clear_error(journal: Journal, checkpoint: bytes) -> None:
    journal.prune(0, checkpoint)
    with pytest.raises(JournalError, match=r"journal .*checkpoint") as caught:
        read_checkpoint(journal, Settings())
    assert caught.value.reason == "corrupt"


RETENTION = timedelta(hours=1)
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
AGES = st.one_of(
    st.sampled_from([timedelta(0), RETENTION, RETENTION + timedelta(microseconds=1), timedelta(microseconds=-1)]),
    st.integers(-4 * 60, 4 * 60).map(lambda minutes: timedelta(minutes=minutes)),
)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def read(self) -> datetime:
        return self.now


def make_timed_pruner(journal: Journal, clock: Clock, retention: timedelta = RETENTION) -> Pruner:
    settings = make_settings(retention.total_seconds())
    # Without syncs: the power is not lost here.
    return Pruner(Journal(journal.path, "normal"), settings, kept_seconds=0, wall_clock=clock.read)


def accept(journal: Journal, ages: Sequence[timedelta]) -> None:
    start = journal.last_seq()
    append(
        journal,
        [
            make_event(
                0,
                symbol=f"S{(start + n) % 5}",
                side=("BUY", "SELL")[n % 2],
                price=f"{start + n + 1}.25",
                accepted_at=format_timestamp(START - age),
            )
            for n, age in enumerate(ages)
        ],
    )


def find_prunable(journal: Journal, saved_seq: int, current: datetime) -> int:
    """Return, from the rule alone, the seq up to which trades may be pruned."""
    end = 0
    for event in journal.read_after(0, 10**6):
        age = current - datetime.fromisoformat(event.accepted_at)
        if event.seq > saved_seq or timedelta(0) <= age <= RETENTION:
            break
        if age > RETENTION:
            end = event.seq
    return end


STEPS = st.lists(st.tuples(st.lists(AGES, max_size=12), st.floats(0, 1), st.integers(-90, 90)), min_size=1, max_size=8)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_whatever_the_clocks_did_every_accepted_trade_is_in_the_checkpoint_or_in_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[list[timedelta], float, int]]
) -> None:
    monkeypatch.setattr("sidecar.retention.BATCH", 3)
    monkeypatch.setattr("sidecar.retention.SCAN", 2)
    clock, accepted = Clock(), State("")
    with TemporaryDirectory(dir=tmp_path) as folder, Journal(Path(folder) / "journal.db", "normal") as journal:
        accepted.journal_id = journal.journal_id
        pruner = make_timed_pruner(journal, clock)
        for ages, saved, minutes in steps:
            accept(journal, ages)
            accepted.apply(journal.read_after(accepted.last_seq), "journal", Settings(symbol_limit=3))
            saved_seq = round(journal.last_seq() * saved)
            fresh = make_timed_pruner(journal, clock)
            prunable = find_prunable(journal, saved_seq, clock.now)
            for each in (fresh, pruner):
                each.step(saved_seq, 10)
                # Both snapshots are lost: only the journal is left.
                assert recount(journal) == accepted
                rest = [event.seq for event in journal.read_after(0, 10**6)]
                assert rest == list(range(journal.last_seq() + 1 - len(rest), journal.last_seq() + 1))
                assert not rest or rest[0] > prunable
            fresh.close()
            clock.now += timedelta(minutes=minutes)
        pruner.close()


def test_a_recent_time_among_old_ones_loses_no_trade(journal: Journal) -> None:
    accept(journal, [timedelta(0) if n % 7 == 0 else 2 * RETENTION for n in range(1, 300)])
    accept(journal, [timedelta(0)] * 120)
    before, clock = recount(journal), Clock()
    pruner = make_timed_pruner(journal, clock)
    assert pruner.step(saved_seq=419, seconds=10) == 6
    assert recount(journal) == before
    clock.now += 2 * RETENTION
    assert pruner.step(saved_seq=419, seconds=10) == 413
    assert recount(journal) == before
    pruner.close()


def test_one_old_trade_does_not_prune_the_recent_ones_before_it(journal: Journal) -> None:
    accept(journal, [timedelta(minutes=5)] * 10 + [timedelta(days=20_000)])
    pruner = make_timed_pruner(journal, Clock())
    assert pruner.step(saved_seq=11, seconds=10) == 0
    pruner.close()


def test_any_number_of_trades_in_the_future_is_pruned_with_the_next_old_one(journal: Journal) -> None:
    accept(journal, [timedelta(hours=-5)] * 3000 + [2 * RETENTION] + [timedelta(hours=-5)] * 10)
    before = recount(journal)
    ticks = iter(range(1000))
    pruner = Pruner(
        Journal(journal.path),
        make_settings(RETENTION.total_seconds()),
        kept_seconds=0,
        clock=lambda: float(next(ticks)),
        wall_clock=Clock().read,
    )
    # A step ends in time, and the next one continues there.
    pruned = [pruner.step(saved_seq=3011, seconds=2.5) for _ in range(8)]
    assert sum(pruned) == 3001
    assert max(pruned) <= 1000
    assert pruned[0] == 0
    assert recount(journal) == before
    pruner.close()


def test_trades_in_the_future_are_scanned_once(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    accept(journal, [timedelta(hours=-5)] * 5000 + [timedelta(0)] * 5000)
    scanned: list[int] = []
    read_times = Journal.read_times

    def watch(self: Journal, seq: int, until: int, limit: int) -> list[tuple[int, str]]:
        scanned.append(seq)
        return read_times(self, seq, until, limit)

    monkeypatch.setattr(Journal, "read_times", watch)
    pruner = make_timed_pruner(journal, Clock())
    for _ in range(5):
        assert pruner.step(saved_seq=10_000, seconds=10) == 0
    assert len(scanned) <= 11
    pruner.close()


def test_a_retention_longer_than_the_calendar_keeps_everything(journal: Journal) -> None:
    accept(journal, [timedelta(days=1000)] * 3)
    pruner = make_timed_pruner(journal, Clock(), timedelta(days=999_999))
    assert pruner.step(saved_seq=3, seconds=10) == 0
    pruner.close()


@pytest.mark.parametrize(("retention", "kept"), [(30, 10), (86_400, 60)])
def test_a_clock_that_steps_prunes_nothing_that_was_counted_just_now(
    journal: Journal, retention: int, kept: float
) -> None:
    wall, monotonic = Clock(), [1000.0]
    pruner = Pruner(
        Journal(journal.path), make_settings(retention), clock=lambda: monotonic[0], wall_clock=lambda: wall.now
    )
    accept(journal, [timedelta(0)] * 10)
    wall.now += timedelta(days=400)
    assert pruner.step(saved_seq=10, seconds=10) == 0
    monotonic[0] += kept / 2
    accept(journal, [timedelta(days=400)] * 10)
    assert pruner.step(saved_seq=20, seconds=10) == 0
    monotonic[0] += kept / 2
    assert pruner.step(saved_seq=20, seconds=10) == 10
    monotonic[0] += kept / 2
    assert pruner.step(saved_seq=20, seconds=10) == 10
    pruner.close()


def test_another_journal_is_not_pruned_by_the_seqs_of_the_one_before(tmp_path: Path) -> None:
    path, monotonic = tmp_path / "journal.db", [0.0]
    with Journal(path) as first:
        fill(first, 10, timedelta(hours=2))
    pruner = Pruner(Journal(path), make_settings(600), clock=lambda: monotonic[0])
    assert pruner.step(saved_seq=10, seconds=10) == 0
    for each in tmp_path.glob("journal.db*"):
        each.unlink()
    with Journal(path) as second:
        fill(second, 10, timedelta(hours=2))
    with pytest.raises(JournalError):
        pruner.step(saved_seq=10, seconds=10)
    monotonic[0] += 61
    assert pruner.step(saved_seq=10, seconds=10) == 0
    monotonic[0] += 61
    assert pruner.step(saved_seq=10, seconds=10) == 10
    pruner.close()


STEPPING = """
import sys, time
real, steps = time.time, iter(range(10**6))
time.time = lambda: real() - 3600 * next(steps)
from functools import partial
from pathlib import Path
from common.journal.store import Journal
from common.settings import Settings
from sidecar.retention import Pruner
pruner = Pruner(Journal(Path(sys.argv[1])), Settings(journal_retention=60), kept_seconds=0)
print(pruner.step(saved_seq=3000, seconds=0))
"""


def test_a_step_ends_in_time_when_the_clock_steps_back(journal: Journal) -> None:
    fill(journal, 3000, timedelta(hours=2))
    command = [sys.executable, "-c", STEPPING, str(journal.path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "0\n"

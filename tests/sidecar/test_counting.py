"""Counting as a state machine: whatever happens, each accepted trade is counted once, and no counter falls.

``HYPOTHESIS_PROFILE=thorough`` runs a thousand histories, different ones each time: some minutes.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event as Flag
from typing import Any, NamedTuple, cast
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from common.event import SIDES, Event
from common.journal.store import Journal
from common.settings import Settings
from common.wire import messages
from common.wire.hints import Hint
from sidecar.consumer import QUIET_SECONDS, Consumer
from sidecar.counters import Counters
from sidecar.retention import Pruner, read_checkpoint
from sidecar.snapshot import Snapshots, name_previous
from sidecar.state import NOTIONAL_BOUNDS, OTHER, State
from tests.conftest import append, make_event
from tests.sidecar.test_consumer import FakeReceiver
from tests.sidecar.test_positions import keep_books, read_books

SETTINGS = Settings(
    symbol_limit=3,
    source_limit=2,
    trading_symbols=("EARLY/USD",),
    quote_currencies=("USD",),
    journal_retention=60,
)
SYMBOLS = {"EARLY/USD": "USD", "A/AAA": "AAA", "B/BBB": "BBB", "C": OTHER}
"""With their quotes."""

QUOTE_LIMIT = 3
"""OTHER, USD, and the first that is traded of AAA and BBB."""

CHUNK = 4
"""Events read from the journal at once, and pruned at once: few, so that reads end anywhere."""

LATER = datetime(2026, 2, 28, tzinfo=UTC)
"""When every trade is older than the retention."""

DECIMALS = st.one_of(
    st.sampled_from(["1", "0.1", "2.50", "1000", "0.000000000000000001", "9" * 20 + "." + "9" * 18]),
    st.integers(1, 10**38 - 1).map(lambda units: f"{units // 10**18}.{units % 10**18:018}"),
)
SECONDS = st.integers(0, 1).map(lambda second: f"2026-01-31T09:30:0{second}.000000Z")
TRADES = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(list(SYMBOLS)),
        "side": st.sampled_from(SIDES),
        "source": st.sampled_from(["", "bot-1", "bot-2", "bot-3"]),
        "price": DECIMALS,
        "qty": DECIMALS,
        "fee": st.one_of(st.none(), DECIMALS),
        "ts": SECONDS,
        "accepted_at": SECONDS,
    }
)


LOSSES = ["nothing", "a save", "half a save", "a file", "the previous file", "both files", "the next save"]


class KilledError(BaseException):
    """The process is killed at this moment."""


class Series(NamedTuple):
    """What the reference knows of one symbol and side."""

    trades: int
    quantity: Fraction
    notional: Fraction
    created_at: str | None


class Sidecar:
    """The parts of the sidecar that count, put together as the daemon does, without its threads."""

    def __init__(self, folder: Path) -> None:
        self.receiver = FakeReceiver()
        self.snapshots = Snapshots(folder / "snapshot")
        path = folder / "journal.db"
        with Journal(path) as journal:
            state = self.snapshots.load(journal, read_checkpoint(journal, SETTINGS), SETTINGS)
        state.register(SETTINGS)
        self.counters = Counters(state, SETTINGS)
        self.consumer = Consumer(
            self.counters,
            self.receiver,
            Journal(path, "normal"),
            SETTINGS,
            clock=lambda: self.receiver.now,
            wall_clock=LATER.timestamp,
        )
        self.pruner = Pruner(Journal(path, "normal"), SETTINGS, kept_seconds=0, wall_clock=lambda: LATER)
        self.consumer.catch_up(Flag())
        self.snapshots.save(self.counters)

    def end(self) -> None:
        """Close the files, as the end of the process would."""
        ended = Flag()
        ended.set()
        self.consumer.run(ended)
        self.pruner.close()

    def receive(self, *arrived: list[bytes]) -> None:
        self.receiver.messages += arrived
        while self.receiver.messages:
            self.consumer.step()

    def list_observed(self) -> dict[str, int]:
        """List the exposed counters that are not in the journal."""
        observed = self.snapshots.observed
        counts = {"duplicates": observed.duplicates, "gaps": observed.gaps}
        for counters in (observed.events, observed.rejected, observed.delay.buckets):
            counts |= {str(name): count for name, count in counters.items()}
        return counts


def read_end(hint: list[bytes], journal_id: str) -> int:
    """Return the seq of the last trade of a message."""
    found = messages.decode_message(hint, journal_id)
    return found.last_seq if isinstance(found, messages.SeqRange) else cast("list[Hint]", found)[-1].seq


class Counting(RuleBasedStateMachine):
    hints = Bundle("hints")

    def __init__(self) -> None:
        super().__init__()
        self.resources = ExitStack()
        self.folder = Path(self.resources.enter_context(TemporaryDirectory()))
        # Processes are killed here, but the power is not lost.
        self.resources.enter_context(mock.patch("os.fsync"))
        self.resources.enter_context(mock.patch("sidecar.consumer.CHUNK", CHUNK))
        self.resources.enter_context(mock.patch("sidecar.retention.BATCH", CHUNK))
        self.resources.enter_context(mock.patch("sidecar.state.QUOTE_LIMIT", QUOTE_LIMIT))
        self.journal = self.resources.enter_context(Journal(self.folder / "journal.db", "normal"))
        self.sidecar = Sidecar(self.folder)
        self.accepted: list[Event] = []
        self.last_seq = 0
        self.observed: dict[str, int] = {}

    def teardown(self) -> None:
        try:
            self.wait_until_all_are_counted()
            self.check_counted()
        finally:
            self.sidecar.end()
            self.resources.close()

    @property
    def state(self) -> State:
        return self.sidecar.counters.state

    @property
    def newest_seq(self) -> int:
        return self.accepted[-1].seq if self.accepted else 0

    @rule(
        target=hints,
        trades=st.lists(TRADES, min_size=1, max_size=6),
        form=st.sampled_from(["one message", "one each", "range"]),
        order=st.lists(st.integers(0, 5), max_size=8),
        late=st.lists(hints, max_size=2),
    )
    def accept(self, trades: list[dict[str, Any]], *, form: str, order: list[int], late: list[list[bytes]]) -> Any:  # noqa: ANN401 - hypothesis's own type
        """Commit trades, and receive their hints in any order, and earlier ones, together; some are lost or late."""
        fresh = append(self.journal, [make_event(0, **trade) for trade in trades])
        self.accepted += fresh
        match form:
            case "range":
                first, last = fresh[0], fresh[-1]
                written = messages.SeqRange(first.journal_id, first.seq, last.seq, first.accepted_at)
                hints = [messages.encode_range(written)]
            case "one each":
                hints = [messages.encode_message([event]) for event in fresh]
            case _:
                hints = [messages.encode_message(fresh)]
        self.sidecar.receive(*late, *(hints[number % len(hints)] for number in order))
        if order:
            newest = max(read_end(hints[number % len(hints)], self.journal.journal_id) for number in order)
            assert self.state.last_seq >= newest
        return multiple(*hints)

    @rule(count=st.integers(1, 3))
    def leave_a_hole(self, count: int) -> None:
        """Use up seqs that no trade will have."""
        with closing(sqlite3.connect(self.journal.path, isolation_level=None)) as db:
            db.execute("UPDATE sqlite_sequence SET seq = seq + ?", [count])

    @rule(hint=hints)
    def receive(self, hint: list[bytes]) -> None:
        """Receive a hint late, or again; afterwards everything up to its last trade is counted."""
        self.sidecar.receive(hint)
        assert self.state.last_seq >= read_end(hint, self.journal.journal_id)

    @rule(body=st.binary(max_size=20))
    def receive_garbage(self, body: bytes) -> None:
        self.sidecar.receive([b"trades/1\n" + body])

    @rule()
    def read_the_journal(self) -> None:
        """Receive nothing for a while."""
        self.sidecar.consumer.step()

    @rule()
    def wait_until_all_are_counted(self) -> None:
        """Receive nothing until the journal is read, without another pause between its parts."""
        began, receiver = self.sidecar.receiver.now, self.sidecar.receiver
        while self.state.last_seq < self.newest_seq:
            assert self.sidecar.consumer.step()
        assert receiver.now - began <= QUIET_SECONDS

    @rule()
    def save(self) -> None:
        failures = self.sidecar.snapshots.failures
        self.sidecar.snapshots.save(self.sidecar.counters)
        assert self.sidecar.snapshots.failures == failures

    @rule()
    def prune(self) -> None:
        """Prune what both snapshots hold; every trade is old enough."""
        durable_seq = self.sidecar.snapshots.durable_seq
        self.sidecar.pruner.step(durable_seq, 60)
        kept = [event.seq for event in self.journal.read_after(0)]
        assert kept == [event.seq for event in self.accepted if event.seq > durable_seq]

    @rule(loss=st.sampled_from(LOSSES))
    def kill(self, loss: str) -> None:
        """Kill it and start it again; with one file left, no counter falls."""
        path = self.folder / "snapshot"
        match loss:
            case "a save":
                self.save_until_killed(renames=0)
            case "half a save":
                self.save_until_killed(renames=1)
        self.sidecar.end()
        match loss:
            case "a file":
                lose(path)
            case "the previous file":
                lose(name_previous(path))
            case "both files":
                lose(path)
                lose(name_previous(path))
                # What is not in the journal begins again.
                self.observed = {}
            case "the next save":
                (self.folder / "snapshot.new").mkdir()
        self.start()

    def save_until_killed(self, renames: int) -> None:
        """Write the draft, and do that many of the two renames."""
        replace, left = Path.replace, iter(range(renames))

        def replace_or_die(path: Path, target: Path) -> Path:
            if next(left, None) is None:
                raise KilledError
            return replace(path, target)

        with mock.patch.object(Path, "replace", replace_or_die), suppress(KilledError):
            self.save()

    def start(self) -> None:
        self.sidecar = Sidecar(self.folder)
        assert self.state.last_seq == self.newest_seq
        self.check_that_no_counter_falls()
        draft = self.folder / "snapshot.new"
        if draft.is_dir():
            draft.rmdir()
            self.save()

    @invariant()
    def check_counted(self) -> None:
        """What is counted is exactly the accepted trades up to the last seq, to the last digit."""
        state = self.state
        assert state.find_fault() is None
        counted = [event for event in self.accepted if event.seq <= state.last_seq]
        assert state.last_seq == (counted[-1].seq if counted else 0)
        names = name_series(counted)
        assert state.overflow_trades == names.count(OTHER)
        assert read_series(state) == add_up(counted, names)
        assert read_last_trades(state) == find_last_trades(counted, names)
        quotes = name_quotes(counted)
        assert read_sizes(state) == count_sizes(counted, quotes)
        assert read_sources(state) == count_sources(counted, quotes)
        assert read_books(state.positions) == keep_books(counted, SETTINGS)
        assert sum(state.observed.events.values()) == len(counted)

    @invariant()
    def check_that_no_counter_falls(self) -> None:
        assert self.state.last_seq >= self.last_seq
        self.last_seq = self.state.last_seq
        observed = self.sidecar.list_observed()
        assert {name: count for name, count in self.observed.items() if observed[name] < count} == {}
        self.observed = observed


def lose(path: Path) -> None:
    """Cut a file in the middle."""
    if path.exists():
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@lru_cache(maxsize=1000)
def multiply(event: Event) -> Fraction:
    return Fraction(event.price) * Fraction(event.qty)


def name_series(events: Sequence[Event]) -> list[str]:
    """Name the series of each trade: the first symbols have their own."""
    own = list(SETTINGS.trading_symbols)
    names: list[str] = []
    for event in events:
        if event.symbol not in own and len(own) < SETTINGS.symbol_limit:
            own.append(event.symbol)
        names.append(event.symbol if event.symbol in own else OTHER)
    return names


def add_up(events: Sequence[Event], names: Sequence[str]) -> dict[tuple[str, str], Series]:
    totals: dict[tuple[str, str], Series] = {}
    for name, event in zip(names, events, strict=True):
        before = totals.get((name, event.side), Series(0, Fraction(0), Fraction(0), event.accepted_at))
        totals[name, event.side] = Series(
            before.trades + 1,
            before.quantity + Fraction(event.qty),
            before.notional + multiply(event),
            before.created_at,
        )
    return totals


def read_series(state: State) -> dict[tuple[str, str], Series]:
    return {
        (name, side): Series(tally.trades, Fraction(tally.quantity), Fraction(tally.notional), tally.created_at)
        for name, symbol in state.symbols.items()
        for side, tally in symbol.tallies.items()
        if tally.trades
    }


def find_last_trades(events: Sequence[Event], names: Sequence[str]) -> dict[str, tuple[str, str]]:
    newest: dict[str, Event] = {}
    for name, event in zip(names, events, strict=True):
        if name not in newest or event.ts >= newest[name].ts:
            newest[name] = event
    return {name: (event.price, event.ts) for name, event in newest.items()}


def read_last_trades(state: State) -> dict[str, tuple[str | None, str | None]]:
    return {
        name: (symbol.last_price, symbol.last_ts)
        for name, symbol in state.symbols.items()
        if symbol.last_price is not None
    }


Sizes = dict[tuple[str, str], tuple[list[int], Fraction]]


def name_quotes(events: Sequence[Event]) -> list[str]:
    """Name the quote of each trade: the known ones and the first others have their own series."""
    own = {OTHER, *SETTINGS.quote_currencies}
    names: list[str] = []
    for event in events:
        quote = SYMBOLS[event.symbol]
        if len(own) < QUOTE_LIMIT:
            own.add(quote)
        names.append(quote if quote in own else OTHER)
    return names


def count_sizes(events: Sequence[Event], quotes: Sequence[str]) -> Sizes:
    """Count the notionals up to each bound, by quote and side, and add them up."""
    known = {OTHER, *SETTINGS.quote_currencies, *quotes}
    found: dict[tuple[str, str], list[Fraction]] = {(quote, side): [] for quote in known for side in SIDES}
    for quote, event in zip(quotes, events, strict=True):
        found[quote, event.side].append(multiply(event))
    return {
        key: ([sum(each <= int(bound) for each in notionals) for bound in NOTIONAL_BOUNDS], sum(notionals, Fraction(0)))
        for key, notionals in found.items()
    }


def read_sizes(state: State) -> Sizes:
    return {
        (quote, side): (list(accumulate(histogram.buckets.values()))[:-1], Fraction(histogram.total))
        for quote, by_side in state.notional.items()
        for side, histogram in by_side.items()
    }


class BySource(NamedTuple):
    """The totals by source: trades by side, notional by quote and side, and the newest ts."""

    trades: dict[tuple[str, str], int]
    notional: dict[tuple[str, str, str], Fraction]
    newest: dict[str, str]


def count_sources(events: Sequence[Event], quotes: Sequence[str]) -> BySource:
    """Add up by source: the first ones have their own series, and trades without one are apart."""
    own, found = [""], BySource({}, {}, {})
    for quote, event in zip(quotes, events, strict=True):
        if event.source not in own and len(own) <= SETTINGS.source_limit:
            own.append(event.source)
        source = event.source if event.source in own else OTHER
        by_side, by_quote = (source, event.side), (source, quote, event.side)
        found.trades[by_side] = found.trades.get(by_side, 0) + 1
        found.notional[by_quote] = found.notional.get(by_quote, Fraction(0)) + multiply(event)
        found.newest[source] = max(found.newest.get(source, ""), event.ts)
    return found


def read_sources(state: State) -> BySource:
    totals = state.sources.totals
    sums = {tuple(key.split(" ")): by_side for key, by_side in state.sources.notional.items()}
    return BySource(
        {(name, side): trades for name, each in totals.items() for side, trades in each.trades.items() if trades},
        {
            (source, quote, side): Fraction(sum_)
            for (source, quote), by_side in sums.items()
            for side, sum_ in by_side.items()
            if sum_
        },
        {name: each.last_ts for name, each in totals.items() if each.last_ts is not None},
    )


def test_any_history_counts_each_trade_once_and_no_counter_falls() -> None:
    run_state_machine_as_test(Counting, settings=settings(stateful_step_count=50))

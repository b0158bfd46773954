import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from common.errors import BadMessageError, SnapshotError
from common.journal.disk import DiskUsage
from common.journal.store import Journal
from common.settings import Settings
from common.wire.messages import BAD_MESSAGE_REASONS
from common.wire.worker_totals import WorkerTotals
from sidecar.collector import Sight, StateCollector
from sidecar.counters import Counters
from sidecar.series_start import SeriesStarts
from sidecar.snapshot import (
    Snapshots,
    decode_state,
    encode_state,
    load_snapshot,
    name_previous,
    set_aside,
    write_snapshot,
)
from sidecar.state import OTHER, STATE_VERSION, State
from tests.conftest import JOURNAL_ID, append, make_event, make_trade, name_worker, receive_hints
from tests.worker_totals import count_requests, gauge, observe

W1, W2 = name_worker(1), name_worker(2)


@pytest.fixture
def state() -> State:
    state, settings = State(JOURNAL_ID), Settings(symbol_limit=1, trading_symbols=("ETHUSDT",))
    state.register(settings)
    widest = f"{'9' * 20}.{'9' * 18}"
    events = [make_event(1, price=widest, qty=widest), make_event(2, side="SELL", symbol="X")]
    state.receive(receive_hints(events, 1e10), settings)
    state.observed.rejected["body"] = 3
    return state


@pytest.fixture
def path(tmp_path: Path, state: State) -> Path:
    path = tmp_path / "deep" / "deeper" / "snapshot"
    write_snapshot(path, encode_state(state))
    return path


def test_a_loaded_state_equals_the_saved_one_in_every_digit(path: Path, state: State) -> None:
    loaded = load_snapshot(path, State(JOURNAL_ID), 2)
    assert loaded == (state, STATE_VERSION)
    assert isinstance(loaded.state.symbols["ETHUSDT"].tallies["BUY"].quantity, Decimal)
    assert [file.name for file in path.parent.iterdir()] == ["snapshot"]


def test_a_missing_snapshot_is_no_error(tmp_path: Path) -> None:
    assert load_snapshot(tmp_path / "none", State(JOURNAL_ID), 0) is None


def test_a_snapshot_truncated_at_any_byte_is_rejected(path: Path) -> None:
    whole = path.read_bytes()
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        with pytest.raises(SnapshotError) as caught:
            load_snapshot(path, State(JOURNAL_ID), 2)
        assert caught.value.reason in {"torn", "version"}


def test_a_flipped_bit_is_detected(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[-10] ^= 1
    path.write_bytes(whole)
    with pytest.raises(SnapshotError) as caught:
        load_snapshot(path, State(JOURNAL_ID), 2)
    assert caught.value.reason == "torn"


def test_a_snapshot_of_another_journal_or_version_is_rejected(path: Path) -> None:
    with pytest.raises(SnapshotError) as caught:
        load_snapshot(path, State("b" * 32), 2)
    assert caught.value.reason == "foreign"
    path.write_bytes(path.read_bytes().replace(b"snapshot/1", b"snapshot/9"))
    with pytest.raises(SnapshotError) as caught:
        load_snapshot(path, State(JOURNAL_ID), 2)
    assert caught.value.reason == "version"


def test_a_snapshot_ahead_of_its_journal_is_refused(path: Path) -> None:
    with pytest.raises(SnapshotError) as caught:
        load_snapshot(path, State(JOURNAL_ID), 1)
    assert caught.value.reason == "ahead"


def test_a_snapshot_that_ends_before_the_checkpoint_is_rejected(path: Path) -> None:
    with pytest.raises(SnapshotError) as caught:
        load_snapshot(path, State(JOURNAL_ID, last_seq=3), 5)
    assert caught.value.reason == "behind"


def test_the_previous_snapshot_is_kept(path: Path, state: State) -> None:
    state.receive(receive_hints([make_event(3)], 1e10), Settings(symbol_limit=1))
    write_snapshot(path, encode_state(state))
    assert load_snapshot(path, State(JOURNAL_ID), 3) == (state, STATE_VERSION)
    before = load_snapshot(name_previous(path), State(JOURNAL_ID), 3)
    assert before is not None
    assert before.state.last_seq == 2


def test_a_snapshot_that_is_set_aside_has_the_reason_in_its_name(path: Path) -> None:
    aside = set_aside(path, "torn")
    assert aside == path.with_name("snapshot.torn")
    assert not path.exists()
    assert set_aside(path, "torn") is None


def test_a_snapshot_that_cannot_be_written_leaves_the_last_one(path: Path, state: State) -> None:
    before = path.read_bytes()
    (path.parent / "snapshot.new").mkdir()
    with pytest.raises(SnapshotError) as caught:
        write_snapshot(path, encode_state(state))
    assert caught.value.reason == "write"
    assert path.read_bytes() == before


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.db") as journal:
        append(journal, [make_trade() for _ in range(9)])
        yield journal


def test_what_both_snapshots_hold_is_what_the_previous_one_holds(tmp_path: Path, journal: Journal) -> None:
    checkpoint, path = State(journal.journal_id), tmp_path / "snapshot"
    counters, snapshots = Counters(State(journal.journal_id), Settings()), Snapshots(path, lambda: 7.0)
    assert snapshots.load(journal, checkpoint, Settings()) is checkpoint
    for seq in (1, 2):
        counters.state.receive(receive_hints([make_event(seq)], 1e10), Settings())
        counters.state.observed.rejected["body"] = seq
        snapshots.save(counters)
        assert (snapshots.durable_seq, snapshots.observed.rejected["body"], snapshots.saved_at) == (seq - 1, seq - 1, 7)
    path.unlink()
    restarted = Snapshots(path)
    assert restarted.load(journal, checkpoint, Settings()).last_seq == 1
    assert restarted.observed.rejected["body"] == 1


def test_a_failed_save_is_counted_and_changes_nothing_else(tmp_path: Path, journal: Journal) -> None:
    snapshots = Snapshots(tmp_path / "snapshot", lambda: 7.0)
    counters = Counters(snapshots.load(journal, State(journal.journal_id), Settings()), Settings())
    counters.state.apply([make_event(4)], "journal", Settings())
    (tmp_path / "snapshot.new").mkdir()
    snapshots.save(counters)
    assert (snapshots.failures, snapshots.saved_at, snapshots.durable_seq) == (1, 0.0, 0)
    (tmp_path / "snapshot.new").rmdir()
    snapshots.save(counters)
    snapshots.save(counters)
    assert (snapshots.failures, snapshots.saved_at, snapshots.durable_seq) == (1, 7.0, 4)


def test_a_state_that_cannot_be_read_again_is_a_failed_save(tmp_path: Path, journal: Journal) -> None:
    snapshots = Snapshots(tmp_path / "snapshot")
    counters = Counters(State(journal.journal_id), Settings())
    counters.observed.gaps = -1
    snapshots.save(counters)
    assert (snapshots.failures, list(tmp_path.glob("snapshot*"))) == (1, [])


def test_an_unusable_snapshot_is_set_aside_and_the_previous_one_used(
    tmp_path: Path, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    path, state = tmp_path / "snapshot", State(journal.journal_id)
    state.apply([make_event(1)], "journal", Settings())
    write_snapshot(name_previous(path), encode_state(state))
    path.write_bytes(b"torn")
    assert Snapshots(path).load(journal, State(journal.journal_id), Settings()) == state
    assert [record.__dict__["reason"] for record in caplog.records] == ["version"]
    assert sorted(file.name for file in tmp_path.glob("snapshot*")) == ["snapshot.previous", "snapshot.version"]


def alter(encoded: bytes, dice: random.Random) -> bytes:
    """Replace or remove one value of a JSON text."""
    whole = msgspec.json.decode(encoded)
    parts: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:  # noqa: ANN401 - any JSON value
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else []:
            parts.append((node, key))
            walk(node[key])

    walk(whole)
    node, key = dice.choice(parts)
    if dice.random() < 0.3:
        del node[key]
    elif isinstance(node, dict) and dice.random() < 0.2:
        node[dice.choice(["", "x", "BUY", "1.0", "99", "live"])] = node.pop(key)
    else:
        wrong_values = [
            None,
            True,
            -1,
            0,
            1,
            2**64,
            1.5,
            -1e308,
            "",
            "NaN",
            "-1",
            "1e99999",
            "é",
            [],
            {},
            [None],
            {"a": 1},
        ]
        node[key] = dice.choice(wrong_values)
    return msgspec.json.encode(whole)


def test_a_state_with_one_altered_value_is_rejected_or_counts_on(state: State) -> None:
    metrics = [count_requests({"POST /trade 201": 3}), observe("GET /", 0.02, request_id="r-1"), gauge("webapp_x", 1)]
    for worker in (W1, W2):
        state.observed.workers.update(WorkerTotals(worker, 3, ended=worker == W2, metrics=metrics))
    encoded = encode_state(state)
    assert decode_state(encoded) == state
    outcomes: Counter[str] = Counter()
    for seed in range(1000):
        try:
            loaded = decode_state(alter(encoded, random.Random(seed)))
        except SnapshotError:
            outcomes["rejected"] += 1
            continue
        outcomes["loaded"] += 1
        events = [make_event(loaded.last_seq + 1), make_event(loaded.last_seq + 2, side="SELL", symbol="Y")]
        loaded.receive(receive_hints(events, 1e10), Settings(symbol_limit=2))
        for reason in BAD_MESSAGE_REASONS:
            loaded.observed.rejected[reason] += 1
        with contextlib.suppress(BadMessageError):
            loaded.observed.workers.update(WorkerTotals(W1, 2**61, ended=True, metrics=metrics))
        again = decode_state(encode_state(loaded))
        assert again == loaded, seed
        assert b"# EOF" in expose(loaded), seed
    assert min(outcomes["rejected"], outcomes["loaded"]) > 200, outcomes


def expose(state: State) -> bytes:
    sight = Sight(Counters(state, Settings()), Snapshots(Path()), lambda: (9, DiskUsage(1, 2, 3)), lambda: [W1])
    sight.snapshots.observed = state.observed
    registry = CollectorRegistry()
    registry.register(StateCollector(sight, SeriesStarts()))
    text: bytes = generate_latest(registry)
    return text


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"journal_id":1}',
        b'{"journal_id":"%b","last_seq":5}' % JOURNAL_ID.encode(),
        b'{"journal_id":"%b","last_seq":5,"version":2}' % JOURNAL_ID.encode(),
        b'{"journal_id":"%b","version":2,"symbols":{"A":{"tallies":{}}}}' % JOURNAL_ID.encode(),
        b'{"journal_id":"%b","version":2,"symbols":{"A":{"last_ts":"2026-13-01T00:00:00.000000Z"}}}'
        % JOURNAL_ID.encode(),
        b'{"journal_id":"%b","version":2,"notional":{}}' % JOURNAL_ID.encode(),
        b'{"journal_id":"%b","version":2,"observed":{"rejected":{"two words":1}}}' % JOURNAL_ID.encode(),
        b'{"journal_id":"%b","notional":{"BUY":[1,2]}}' % JOURNAL_ID.encode(),
        b'{"journal_id":"%b","observed":{"delay":{"counts":[1]}}}' % JOURNAL_ID.encode(),
        b'{"journal_id":"%b","observed":[]}' % JOURNAL_ID.encode(),
    ],
)
def test_wrong_content_with_a_right_checksum_is_rejected(path: Path, wrong: bytes) -> None:
    write_snapshot(path, wrong)
    with pytest.raises(SnapshotError, match=str(path)) as caught:
        load_snapshot(path, State(JOURNAL_ID), 9)
    assert caught.value.reason == "content"


def test_a_state_with_more_trades_than_seqs_is_rejected(state: State) -> None:
    with pytest.raises(SnapshotError, match="2 trades up to seq 1") as caught:
        decode_state(encode_state(state).replace(b'"last_seq":2', b'"last_seq":1'))
    assert caught.value.reason == "content"


def test_a_state_of_a_later_version_is_rejected(path: Path) -> None:
    write_snapshot(path, b'{"journal_id":"%b","version":%d}' % (JOURNAL_ID.encode(), STATE_VERSION + 1))
    with pytest.raises(SnapshotError, match=f"version {STATE_VERSION + 1}") as caught:
        load_snapshot(path, State(JOURNAL_ID), 2)
    assert caught.value.reason == "version"


def test_a_snapshot_with_other_bounds_and_reasons_is_loaded(
    path: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.state.NOTIONAL_BOUNDS", (Decimal(5), Decimal(100), Decimal(1000)))
    monkeypatch.setattr("sidecar.state.DELAY_BOUNDS", (0.3,))
    monkeypatch.setattr("sidecar.state.BAD_MESSAGE_REASONS", ("size", "body"))
    snapshot = load_snapshot(path, State(JOURNAL_ID), 2)
    assert snapshot is not None
    loaded = snapshot.state
    assert loaded.notional[OTHER]["SELL"].buckets == {"5.0": 0, "100.0": 0, "1000.0": 1, "+Inf": 0}
    assert sum(loaded.observed.delay.buckets.values()) == 2
    assert loaded.observed.rejected["size"] == 0
    assert loaded.observed.rejected["body"] == 3
    loaded.receive(receive_hints([make_event(3)], 1e10), Settings(symbol_limit=2))
    assert loaded.notional[OTHER]["SELL"].total == state.notional[OTHER]["SELL"].total

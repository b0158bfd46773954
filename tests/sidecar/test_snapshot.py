from decimal import Decimal
from pathlib import Path

import pytest

from sidecar.snapshot import encode_state, load_snapshot, name_previous, set_aside, write_snapshot
from sidecar.state import State
from tape.errors import SnapshotError
from tests.conftest import ORIGIN, make_event


@pytest.fixture
def state() -> State:
    state = State(ORIGIN)
    state.register(["ETHUSDT"])
    widest = "999999999999999999.999999999999"
    state.apply([make_event(1, price=widest, qty=widest), make_event(2, side="SELL", symbol="X")], "live", 1, 1e10)
    state.observed.rejected["body"] = 3
    return state


@pytest.fixture
def path(tmp_path: Path, state: State) -> Path:
    path = tmp_path / "deep" / "snapshot"
    write_snapshot(path, encode_state(state))
    return path


def test_a_state_comes_back_as_it_was_with_every_digit(path: Path, state: State) -> None:
    loaded = load_snapshot(path, State(ORIGIN), 2)
    assert loaded == state
    assert loaded is not None
    assert isinstance(loaded.symbols["ETHUSDT"].tallies["BUY"].quantity, Decimal)
    assert [file.name for file in path.parent.iterdir()] == ["snapshot"]


def test_no_snapshot_is_no_error(tmp_path: Path) -> None:
    assert load_snapshot(tmp_path / "none", State(ORIGIN), 0) is None


def test_a_snapshot_torn_at_any_byte_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        with pytest.raises(SnapshotError) as caught:
            load_snapshot(path, State(ORIGIN), 2)
        assert caught.value.reason in {"torn", "version"}


def test_a_flipped_bit_is_noticed(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[-10] ^= 1
    path.write_bytes(whole)
    with pytest.raises(SnapshotError) as caught:
        load_snapshot(path, State(ORIGIN), 2)
    assert caught.value.reason == "torn"


def test_a_snapshot_of_another_journal_or_version_is_refused(path: Path) -> None:
    with pytest.raises(SnapshotError) as caught:
        load_snapshot(path, State("b" * 32), 2)
    assert caught.value.reason == "foreign"
    path.write_bytes(path.read_bytes().replace(b"snapshot/1", b"snapshot/9"))
    with pytest.raises(SnapshotError) as caught:
        load_snapshot(path, State(ORIGIN), 2)
    assert caught.value.reason == "version"


def test_a_snapshot_ahead_of_its_journal_is_refused(path: Path) -> None:
    with pytest.raises(SnapshotError) as caught:
        load_snapshot(path, State(ORIGIN), 1)
    assert caught.value.reason == "ahead"


def test_a_snapshot_that_ends_before_what_was_pruned_is_refused(path: Path) -> None:
    with pytest.raises(SnapshotError) as caught:
        load_snapshot(path, State(ORIGIN, last_seq=3), 5)
    assert caught.value.reason == "behind"


def test_the_snapshot_before_the_last_one_is_kept(path: Path, state: State) -> None:
    state.apply([make_event(3)], "live", 1, 1e10)
    write_snapshot(path, encode_state(state))
    assert load_snapshot(path, State(ORIGIN), 3) == state
    before = load_snapshot(name_previous(path), State(ORIGIN), 3)
    assert before is not None
    assert before.last_seq == 2


def test_what_is_set_aside_has_a_name_that_says_why(path: Path) -> None:
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

"""The snapshot: the state in one file, atomic and checksummed, so that counters survive restarts.

The previous snapshot is kept too. Of what is not in the journal only what both hold is exposed (``Snapshots``), and
only trades that both hold are pruned, so either file may be lost or damaged and no counter falls.
"""

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct, field

from common.errors import SnapshotError
from common.journal.batches import CHUNK, read_batches
from common.journal.store import Journal
from common.paths import DRAFT, PREVIOUS
from common.private_files import create, sync_folder, tighten
from common.settings import Settings
from common.tally import Count
from sidecar.counters import Counters
from sidecar.state import STATE_VERSION, Observed, State
from sidecar.upgrades import upgrade_state

VERSION: Final = b"sidecar-snapshot/1"
"""Of the file format: a checksum, then a state, which has its own version."""

COUNTED_AGAIN_BEFORE: Final = 7
"""States of earlier versions are without quotes, sources or positions: their trades are counted again."""

_log = logging.getLogger(__name__)

_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder = msgspec.json.Decoder(State)


class _Versioned(Struct):
    version: int = 1


_versions = msgspec.json.Decoder(_Versioned)


class Held(Struct):
    """What a file holds, as far as it matters later; the rest of a state is skipped, in a tenth of the time."""

    last_seq: Count = 0
    observed: Observed = field(default_factory=Observed)


_decode_held = msgspec.json.Decoder(Held).decode


class Snapshots:
    """The snapshot, the previous one, and what both hold: the previous one is never newer.

    ``saved_at`` is when the last one was saved, in seconds since 1970; 0: never. Trades up to ``durable_seq`` are
    counted in both files, so they may be pruned from the journal. ``observed``, which is not in the journal, is exposed
    in place of the state's own: after a kill, or the loss of either file, the sidecar starts with at least these
    values.
    """

    def __init__(self, path: Path, wall_clock: Callable[[], float] = time.time) -> None:
        """Keep the path; nothing is opened yet."""
        self.saved_at = 0.0
        self.failures = 0
        self.durable_seq = 0
        self.observed = Observed()
        self._path = path
        self._wall_clock = wall_clock
        self._newest = Held()

    def load(self, journal: Journal, checkpoint: State, settings: Settings) -> State:
        """Load the newest usable snapshot of a journal, else return its ``checkpoint``; see ``load_snapshot``.

        Unusable snapshots are set aside and logged. Raises JournalError.
        """
        snapshot = self._load_newest(checkpoint, journal.last_seq())
        if snapshot is None:
            state = checkpoint
        elif snapshot.version < COUNTED_AGAIN_BEFORE or (
            settings.positions == "on" and snapshot.state.positions is None
        ):
            state = _count_again(snapshot.state, journal, checkpoint, settings)
        else:
            state = snapshot.state
            if settings.positions == "off":
                state.positions = None
        self._newest = _read_held(encode_state(state))
        # Until a save succeeds, the counters that were loaded are exposed: 0 would look like a reset.
        self.observed = self._newest.observed
        return state

    def _load_newest(self, checkpoint: State, last_seq: int) -> "Snapshot | None":
        for path in (self._path, name_previous(self._path)):
            try:
                snapshot = load_snapshot(path, checkpoint, last_seq)
            except SnapshotError as error:
                aside = set_aside(path, error.reason)
                _log.error(
                    "snapshot set aside; using the previous one and the journal",
                    extra={"reason": error.reason, "detail": error.detail, "aside": str(aside)},
                )
            else:
                if snapshot is not None:
                    return snapshot
        return None

    def save(self, counters: Counters) -> None:
        """Save the state; a failure is counted and logged."""
        try:
            with counters.lock:
                encoded = encode_state(counters.state)
            saved = _read_held(encoded)
            write_snapshot(self._path, encoded)
        except SnapshotError as error:
            self.failures += 1
            _log.error("snapshot failed", extra={"reason": error.reason, "detail": error.detail})
        else:
            self.saved_at = self._wall_clock()
            self.durable_seq, self.observed = self._newest.last_seq, self._newest.observed
            self._newest = saved


class Snapshot(NamedTuple):
    """A loaded snapshot; ``version`` is that of the state in its file."""

    state: State
    version: int


def _count_again(old: State, journal: Journal, state: State, settings: Settings) -> State:
    """Count the trades after ``state`` again, and keep of ``old`` what is not in the journal."""
    _log.info("snapshot without positions; counting its trades again", extra={"last_seq": old.last_seq})
    while state.last_seq < old.last_seq and (batches := read_batches(journal, state.last_seq, CHUNK)):
        state.count(batches, "journal", settings)
    old.observed.events["journal"] += state.count_trades() - old.count_trades()
    state.observed = old.observed
    return state


def write_snapshot(path: Path, state: bytes) -> None:
    """Write an encoded state as the snapshot; the last one becomes the previous one. Raises SnapshotError."""
    draft = path.with_name(f"{path.name}{DRAFT}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(create(draft), "wb") as file:
            file.write(b"%b %b\n%b" % (VERSION, _digest(state), state))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            path.replace(name_previous(path))
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise SnapshotError("write", f"snapshot {path}: {error.strerror}") from error


def name_previous(path: Path) -> Path:
    """Return the path of the previous snapshot."""
    return path.with_name(f"{path.name}{PREVIOUS}")


def encode_state(state: State) -> bytes:
    """Encode a state as JSON, with exact decimals."""
    return _encoder.encode(state)


def decode_state(encoded: bytes) -> State:
    """Decode a state that this or an earlier version encoded.

    Raises SnapshotError with the reason ``version`` or ``content``.
    """
    try:
        version = _versions.decode(encoded).version
        if not 1 <= version <= STATE_VERSION:
            raise SnapshotError("version", f"a state of version {version}; expected up to {STATE_VERSION}")
        state = _decoder.decode(upgrade_state(encoded, version) if version < STATE_VERSION else encoded)
        fault = state.find_fault()
    except (ValueError, RecursionError) as error:
        raise SnapshotError("content", f"not a state: {error}") from error
    if fault is not None:
        raise SnapshotError("content", f"not a state that trades can lead to: {fault}")
    return state


def _read_held(encoded: bytes) -> Held:
    try:
        return _decode_held(encoded)
    except msgspec.MsgspecError as error:
        raise SnapshotError("content", f"not a state: {error}") from error


def load_snapshot(path: Path, checkpoint: State, last_seq: int) -> Snapshot | None:
    """Load the snapshot of a journal that begins after ``checkpoint`` and ends at ``last_seq``; None without a file.

    Raises SnapshotError with one of the reasons in ``common.paths.SNAPSHOT_REASONS``.
    """
    if path.is_symlink():
        raise SnapshotError("symlink", f"snapshot {path} is a symbolic link; expected the file itself")
    tighten(path)
    try:
        head, _, body = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotError("read", f"snapshot {path}: {error.strerror}") from error
    version, _, digest = head.partition(b" ")
    if version != VERSION:
        raise SnapshotError("version", f"snapshot {path} begins with {version[:32]!r}; expected {VERSION!r}")
    if digest != _digest(body):
        raise SnapshotError("torn", f"snapshot {path} does not match its checksum")
    try:
        state = decode_state(body)
        state_version = _versions.decode(body).version
    except SnapshotError as error:
        raise SnapshotError(error.reason, f"snapshot {path}: {error.detail}") from error
    if state.journal_id != checkpoint.journal_id:
        raise SnapshotError(
            "foreign", f"snapshot {path} is of journal {state.journal_id}; expected {checkpoint.journal_id}"
        )
    if state.last_seq > last_seq:
        raise SnapshotError("ahead", f"snapshot {path} is at seq {state.last_seq}, but the journal ends at {last_seq}")
    if state.last_seq < checkpoint.last_seq:
        raise SnapshotError(
            "behind", f"snapshot {path} is at seq {state.last_seq}, but seq {checkpoint.last_seq} is pruned"
        )
    return Snapshot(state, state_version)


def set_aside(path: Path, reason: str) -> Path | None:
    """Rename an unusable snapshot to end in the reason, and return the new path; None when it cannot be renamed."""
    aside = path.with_name(f"{path.name}.{reason}")
    try:
        path.replace(aside)
    except OSError:
        return None
    return aside


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()

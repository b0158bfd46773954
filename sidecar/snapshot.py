"""The snapshot: the state in one file, atomic and checksummed, so that counters survive restarts.

The previous snapshot is kept too. Of what is not in the journal only what both hold is exposed (``SnapshotStatus``),
and only trades that both hold are pruned, so either file may be lost or damaged and no counter falls.
"""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from common.errors import SnapshotError
from common.paths import DRAFT, PREVIOUS
from common.private_files import create, tighten
from sidecar.state import STATE_VERSION, State
from sidecar.upgrades import upgrade_state

VERSION: Final = b"sidecar-snapshot/1"
"""Of the file format: a checksum, then a state, which has its own version."""

_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder = msgspec.json.Decoder(State)


class _Versioned(Struct):
    version: int = 1


_versions = msgspec.json.Decoder(_Versioned)


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
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
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


def load_snapshot(path: Path, checkpoint: State, last_seq: int) -> State | None:
    """Load the state of a journal that begins after ``checkpoint`` and ends at ``last_seq``; None without a file.

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
    return state


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

"""The snapshot: the state in one file, atomic and checksummed, so that counters survive restarts.

The one before it is kept too: what a single damaged file held stands in the other, but for its last moments.
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
from sidecar.version_1 import upgrade_state

VERSION: Final = b"sidecar-snapshot/1"
"""Of the file: a checksum, then a state, which has a version of its own."""

_encoder = msgspec.json.Encoder(decimal_format="string")
_decoder = msgspec.json.Decoder(State)


class _Versioned(Struct):
    version: int = 1


_versions = msgspec.json.Decoder(_Versioned)


def write_snapshot(path: Path, state: bytes) -> None:
    """Put an encoded state in the place of the last snapshot, which becomes the previous one. Raises SnapshotError."""
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
    """Tell where the snapshot before this one is kept."""
    return path.with_name(f"{path.name}{PREVIOUS}")


def encode_state(state: State) -> bytes:
    """Write a state as JSON text, its decimals exact."""
    return _encoder.encode(state)


def decode_state(encoded: bytes) -> State:
    """Read a state that ``encode_state`` wrote, in this version or in an earlier one.

    Raises SnapshotError with the reason ``version`` or ``content``.
    """
    try:
        version = _versions.decode(encoded).version
        if not 1 <= version <= STATE_VERSION:
            raise SnapshotError("version", f"a state of version {version}; expected up to {STATE_VERSION}")
        state = _decoder.decode(upgrade_state(encoded) if version == 1 else encoded)
        fault = state.find_fault()
    except (ValueError, RecursionError) as error:
        raise SnapshotError("content", f"not a state: {error}") from error
    if fault is not None:
        raise SnapshotError("content", f"not a state that trades come to: {fault}")
    return state


def load_snapshot(path: Path, base: State, last_seq: int) -> State | None:
    """Load the state of a journal that begins after ``base`` and ends at ``last_seq``; None when there is no file.

    Raises SnapshotError with one of the reasons in ``SNAPSHOT_REASONS``.
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
    if state.journal_id != base.journal_id:
        raise SnapshotError("foreign", f"snapshot {path} is of journal {state.journal_id}; expected {base.journal_id}")
    if state.last_seq > last_seq:
        raise SnapshotError("ahead", f"snapshot {path} is at seq {state.last_seq}, but the journal ends at {last_seq}")
    if state.last_seq < base.last_seq:
        raise SnapshotError("behind", f"snapshot {path} is at seq {state.last_seq}, but seq {base.last_seq} is pruned")
    return state


def set_aside(path: Path, reason: str) -> Path | None:
    """Move a snapshot that cannot be used out of the way, under a name that says why; None when it cannot be moved."""
    aside = path.with_name(f"{path.name}.{reason}")
    try:
        path.replace(aside)
    except OSError:
        return None
    return aside


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()

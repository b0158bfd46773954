"""Attempts to sign in: how long the next one has to wait, counted by all workers together."""

import contextlib
import fcntl
import hashlib
import mmap
import os
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from typing import Final

FREE: Final = 5
"""Failures after which each attempt has to wait."""

WAIT_MAX: Final = 60.0

FORGET_SECONDS: Final = 3600.0
"""How long after the last one failures are counted."""

_SLOT: Final = struct.Struct("<16sdI")
_EMPTY: Final = _SLOT.pack(bytes(16), 0.0, 0)
_BUCKETS: Final = 1024
_BUCKET_SLOTS: Final = 8
_LOCK_TRIES: Final = 100
_LOCK_PAUSE: Final = 0.001


def find_wait(failures: int) -> float:
    """Return the seconds between the last failure and the next attempt: 1, 2, 4 … WAIT_MAX after FREE of them."""
    return 0.0 if failures < FREE else min(WAIT_MAX, 2.0 ** (failures - FREE))


class Attempts:
    """A table of fixed size in a file without a name, which workers share that were forked after ``share``.

    An attempt counts as a failure from its start, so that many at the same time gain nothing. In a full bucket the one
    whose wait ends first is forgotten.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Keep the clock, which is the same in all processes; nothing is opened yet."""
        self._clock = clock

    def share(self) -> None:
        """Open the table, so that processes that are forked from now on share it."""
        self._table.flush()

    def begin(self, who: str) -> float:
        """Count an attempt and return 0; or return the seconds that it has to wait, and count nothing."""
        digest = _hash(who)
        with self._locked():
            offset = self._find(digest)
            held, last, failures = _SLOT.unpack_from(self._table, offset)
            now = self._clock()
            if held != digest or now - last > FORGET_SECONDS:
                failures = 0
            wait = last + find_wait(failures) - now if failures else 0.0
            if wait > 0:
                return float(wait)
            _SLOT.pack_into(self._table, offset, digest, now, failures + 1)
        return 0.0

    def succeed(self, who: str) -> None:
        """Forget the failures."""
        digest = _hash(who)
        with self._locked():
            offset = self._find(digest)
            if self._table[offset : offset + len(digest)] == digest:
                self._table[offset : offset + _SLOT.size] = _EMPTY

    @cached_property
    def _descriptor(self) -> int:
        with tempfile.TemporaryFile() as file:
            file.truncate(_BUCKETS * _BUCKET_SLOTS * _SLOT.size)
            return os.dup(file.fileno())

    @cached_property
    def _table(self) -> mmap.mmap:
        return mmap.mmap(self._descriptor, 0)

    def close(self) -> None:
        """Close the table in this process; may be called twice."""
        if "_descriptor" in vars(self):
            os.close(vars(self).pop("_descriptor"))
            vars(self).pop("_table", None)

    def _find(self, digest: bytes) -> int:
        """Return the offset of its slot, or of the one that it may take."""
        first = int.from_bytes(digest[:4], "little") % _BUCKETS * _BUCKET_SLOTS
        offsets = [(first + index) * _SLOT.size for index in range(_BUCKET_SLOTS)]
        slots = [_SLOT.unpack_from(self._table, offset) for offset in offsets]
        for offset, (held, _, _) in zip(offsets, slots, strict=True):
            if held == digest:
                return offset
        ends = [last + find_wait(failures) for _, last, failures in slots]
        return offsets[ends.index(min(ends))]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        # A lock that ends with its process. Greenlets are not switched while it is held.
        for _ in range(_LOCK_TRIES):
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                time.sleep(_LOCK_PAUSE)
        # A process that was suspended while it held it must not stop the others: at worst an attempt is not counted.
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


@cache
def share_attempts() -> Attempts:
    """Return the table of this process, open for those that it forks; it is the same one at each call."""
    attempts = Attempts()
    attempts.share()
    return attempts


def _hash(who: str) -> bytes:
    return hashlib.sha256(who.encode(errors="surrogatepass")).digest()[:16]

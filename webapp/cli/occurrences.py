"""Counts equal rows of a file of any length in bounded memory: what does not fit goes to a temporary file."""

import os
import tempfile
from array import array
from bisect import bisect_left, bisect_right
from itertools import chain
from typing import IO, Final, NamedTuple

import click

RECENT: Final = 131_072
"""Digests in memory: about 12 MB, and while they are written 3 MB more."""

_SEEN: Final = 24
"""The bits of a digest that find its byte in those of the digests that were seen: 16 MB."""

_BLOCK: Final = 256
"""Digests that one look into the file reads."""

_ENTRY: Final = 16
"""Bytes in the file: a digest of 64 bits and how often it was seen."""


class _Run(NamedTuple):
    """Digests in their order, from a place in the file, how many, and the first one of each block."""

    place: int
    size: int
    firsts: "array[int]"


class Occurrences:
    """Counts equal rows by 64 bits of their digests.

    The newest RECENT are in memory, older ones in sorted runs of a file. Two bits of each digest that was seen say for
    nearly all new ones that no run has them. The memory does not grow with the file, except by 8 bytes for _BLOCK rows.
    """

    def __init__(self, recent: int = RECENT) -> None:
        """Begin with none; ``recent`` are kept in memory."""
        self._limit = recent
        self._recent: dict[int, int] = {}
        self._seen = bytearray(2**_SEEN)
        self._runs: list[_Run] = []
        self._file: IO[bytes] | None = None
        self._end = 0

    def add(self, digest: int) -> int:
        """Count a row, and return how many equal ones there are now. Raises ClickException when the disk is full."""
        number = self._recent.get(digest, 0) + 1
        if number == 1:
            place, mask = digest >> (64 - _SEEN), 1 << (digest >> 37 & 7) | 1 << (digest >> 34 & 7)
            if self._seen[place] & mask == mask:
                number += self._find(digest)
            else:
                self._seen[place] |= mask
            if len(self._recent) >= self._limit:
                self._write()
        self._recent[digest] = number
        return number

    def close(self) -> None:
        """Remove the temporary file; may be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _find(self, digest: int) -> int:
        if self._file is None:
            return 0
        # The newest run has the highest number.
        for run in reversed(self._runs):
            block = bisect_right(run.firsts, digest) - 1
            if block >= 0:
                first = block * _BLOCK
                length = min(_BLOCK, run.size - first) * _ENTRY
                found = array("Q", os.pread(self._file.fileno(), length, run.place + first * _ENTRY))
                digests = found[::2]
                index = bisect_left(digests, digest)
                if index < len(digests) and digests[index] == digest:
                    return found[2 * index + 1]
        return 0

    def _write(self) -> None:
        digests = sorted(self._recent)
        entries = zip(digests, map(self._recent.__getitem__, digests), strict=True)
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - ``close`` closes it
            self._file.write(array("Q", chain.from_iterable(entries)))
            self._file.flush()
        except OSError as error:
            message = f"a temporary file in {tempfile.gettempdir()}, of 16 bytes a row: {error.strerror}"
            raise click.ClickException(message) from error
        self._runs.append(_Run(self._end, len(digests), array("Q", digests[::_BLOCK])))
        self._end = self._file.tell()
        self._recent.clear()

"""Keys of rows: the same trade has the same key in every copy of its file."""

import hashlib
import re
from array import array
from typing import Final

_DIGEST_BYTES: Final = 16
_FULL: Final = 0.6

_NO_DIGITS = str.maketrans("", "", "-T:.Z")
# Without what JSON escapes, since a key is written into it as it is.
_VISIBLE = re.compile(r"[!#-\[\]-~]{1,64}")


class RowKeys:
    """Makes the keys of one file's rows.

    A row with the exchange's id is named by it, its format and its symbol. Another is named by all its fields, in
    canonical text, and by its number among the equal rows of the file. A name begins with the id or the time, so that
    the names of neighbours are neighbours in the journal's index, and few of its pages change with each batch.
    """

    def __init__(self, format_name: str, run: str = "") -> None:
        """Begin a file; with another ``run`` its rows are other trades."""
        self._format = format_name
        self._run = run.encode(errors="surrogateescape")
        self._occurrences = Occurrences()

    def name(self, symbol: str, trade_id: str) -> str:
        """Make the key of a row with the exchange's id, of visible ASCII."""
        # No part has a zero: a file with one is rejected.
        digest = _digest(b"%b\0%b" % (self._run, f"{self._format}\0{symbol}\0{trade_id}".encode()))
        return f"{trade_id}-{digest.hex()}" if _VISIBLE.fullmatch(trade_id) else digest.hex()

    def number(self, ts: str, fields: bytes) -> str:
        """Make the key of another row, from the JSON of its fields."""
        digest = _digest(b"%b\0%b" % (self._run, fields))
        number = self._occurrences.add(int.from_bytes(digest[:8]))
        name = f"{ts.translate(_NO_DIGITS)}-{digest.hex()}"
        return name if number == 1 else f"{name}-{number}"


class Occurrences:
    """Counts equal rows by 64 bits of their digests: 14 to 27 bytes a row, since a file may have millions."""

    def __init__(self) -> None:
        """Begin with none."""
        self._table = array("Q", bytes(8 * 1024))
        self._used = 0
        self._repeated: dict[int, int] = {}

    def add(self, digest: int) -> int:
        """Count a row, and return how many equal ones there are now."""
        # 0 marks a free place.
        digest = digest or 1
        if not self._insert(digest):
            self._repeated[digest] = self._repeated.get(digest, 1) + 1
            return self._repeated[digest]
        self._used += 1
        if self._used > _FULL * len(self._table):
            self._grow()
        return 1

    def _insert(self, digest: int) -> bool:
        table, last = self._table, len(self._table) - 1
        place = digest & last
        while table[place]:
            if table[place] == digest:
                return False
            place = (place + 1) & last
        table[place] = digest
        return True

    def _grow(self) -> None:
        old, self._table = self._table, array("Q", bytes(8 * 2 * len(self._table)))
        for digest in old:
            if digest:
                self._insert(digest)


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()[:_DIGEST_BYTES]

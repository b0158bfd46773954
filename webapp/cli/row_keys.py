"""Keys of rows: the same trade has the same key in every copy of its file."""

import hashlib
import json
from array import array
from typing import Final

from msgspec.structs import astuple

from common.event import Trade

_KEY_DIGITS: Final = 40
_FULL: Final = 0.6


class RowKeys:
    """Makes the keys of one file's rows.

    A row with the exchange's id is named by it, its format and its symbol. Another is named by all its fields, in
    canonical text, and by its number among the equal rows of the file.
    """

    def __init__(self, format_name: str, run: str = "") -> None:
        """Begin a file; with another ``run`` its rows are other trades."""
        self._format = format_name
        self._run = run
        self._occurrences = Occurrences()

    def make(self, trade: Trade, trade_id: str) -> str:
        """Make the key of a row, of visible ASCII."""
        if trade_id:
            return _digest(self._run, self._format, trade.symbol, trade_id)
        key = _digest(self._run, *astuple(trade))
        number = self._occurrences.add(int(key[:16], 16))
        return key if number == 1 else f"{key}-{number}"


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


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_KEY_DIGITS]

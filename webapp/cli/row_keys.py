"""Keys of rows: the same trade has the same key in every copy of its file."""

import hashlib
import re
from typing import Final

from webapp.cli.occurrences import Occurrences

_DIGEST_BYTES: Final = 16

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
        # The digits of the time; to translate it takes twice as long.
        day, clock = f"{ts[:4]}{ts[5:7]}{ts[8:10]}", f"{ts[11:13]}{ts[14:16]}{ts[17:19]}{ts[20:26]}"
        name = f"{day}{clock}-{digest.hex()}"
        return name if number == 1 else f"{name}-{number}"

    def close(self) -> None:
        """Remove the temporary file; may be called twice."""
        self._occurrences.close()


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()[:_DIGEST_BYTES]

"""Summaries of the journal over a window, for the desk; requests with the same parameters share one."""

from datetime import timedelta
from typing import Final

import msgspec

from common.journal.block_ranges import BlockRanges
from common.journal.summaries import summarise
from webapp.reader import JournalReader
from webapp.sharing import share

CACHE_SECONDS: Final = 5.0
"""How long one summary is shared by requests with the same parameters: one over many trades takes 0.5 s of a core."""

CACHE_SIZE: Final = 64

# A JSON number keeps every digit for a program that reads it as a decimal.
_encoder = msgspec.json.Encoder(decimal_format="number")


class Summaries:
    """Summaries of the journal, with a reader of their own: they take longer than a look-up."""

    def __init__(self, reader: JournalReader, currencies: tuple[str, ...]) -> None:
        """Keep the reader, and the quote currencies that are known."""
        self._reader = reader
        self._currencies = currencies
        self._blocks = BlockRanges()
        self.get = share(self._summarise, CACHE_SECONDS, CACHE_SIZE)

    def _summarise(self, window: int, step: int, symbol: str | None) -> bytes:
        """Return one summary as JSON; ``window`` and ``step`` in seconds. Raises JournalError."""
        while not self._reader.ask(self._blocks.step):
            pass
        seconds = timedelta(seconds=window)
        summary = self._reader.ask(
            lambda journal: summarise(journal, self._blocks, seconds, symbol, step, currencies=self._currencies)
        )
        return _encoder.encode(summary) + b"\n"

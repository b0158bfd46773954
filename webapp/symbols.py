"""A search for symbols by a part of their names, among all that the journal has."""

from functools import partial
from heapq import nlargest
from operator import attrgetter
from time import monotonic
from typing import Final

import msgspec
from msgspec import Struct

from common.journal.symbols import NewestTrade, list_newest
from common.quotes import find_quote
from common.timestamps import Timestamp
from webapp.reader import JournalReader
from webapp.sharing import share

CACHE_SECONDS: Final = 5.0
"""How long an answer is shared by requests with the same parameters."""

CACHE_SIZE: Final = 256

STEP: Final = 1000
"""Symbols that one look-up reads, in about ten milliseconds."""

BUDGET_SECONDS: Final = 1.5
"""How long one search reads the journal."""


class FoundSymbol(Struct):
    """A symbol; ``last_price`` and ``last_at``, its time of acceptance, are of its newest trade."""

    symbol: str
    quote: str
    last_price: str
    last_at: Timestamp


class FoundSymbols(Struct):
    """Symbols, those with the newest trades first; not ``complete`` when there was no time to look at all of them."""

    symbols: list[FoundSymbol]
    complete: bool


class SymbolSearch:
    """Searches the names of symbols, with a reader that leaves time to others."""

    def __init__(self, reader: JournalReader, currencies: tuple[str, ...]) -> None:
        """Keep the reader, and the quote currencies that are known."""
        self._reader = reader
        self._currencies = currencies
        self.find = share(self._find, CACHE_SECONDS, CACHE_SIZE)

    def _find(self, search: str | None, limit: int) -> bytes:
        """Return up to ``limit`` symbols that contain a text, in any case, as JSON. Raises JournalError."""
        wanted = (search or "").casefold()
        began, after, matches = monotonic(), "", list[NewestTrade]()
        complete = False
        while not complete and monotonic() - began < BUDGET_SECONDS:
            read = self._reader.ask(partial(list_newest, count=STEP, after=after))
            found = [*matches, *(each for each in read if wanted in each.symbol.casefold())]
            matches = nlargest(limit, found, key=attrgetter("seq"))
            complete = len(read) < STEP
            after = read[-1].symbol if read else after
        symbols = [FoundSymbol(name, find_quote(name, self._currencies), price, at) for name, price, at, _ in matches]
        return msgspec.json.encode(FoundSymbols(symbols, complete)) + b"\n"

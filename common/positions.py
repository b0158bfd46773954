"""The answer of ``/positions``: every position, and every source; the sidecar writes it, the web process reads it."""

from msgspec import Struct

from common.timestamps import Timestamp


class PositionRow(Struct):
    """One position; ``source`` is None for the one over all sources, "" for that of the trades that named none.

    ``quantity`` is in units of the symbol, ``average_price`` is None when it is 0, the others are in ``quote``.
    """

    symbol: str
    source: str | None
    quote: str
    quantity: str
    average_price: str | None
    realized_pnl: str
    unrealized_pnl: str | None
    fees: str
    last_price: str | None


class SourceRow(Struct):
    """One source: its first trade was accepted at ``first_seen``, ``last_seen`` is the newest ``ts`` of its trades.

    ``silence_limit`` is how long it may be silent, in seconds; None: no limit.
    """

    source: str
    buys: int
    sells: int
    first_seen: Timestamp | None
    last_seen: Timestamp | None
    silence_limit: int | None


class PositionsAnswer(Struct):
    """Every position up to ``last_seq``; ``overflow`` counts the trades of symbols past the limit, which have none.

    Trades up to ``after_seq`` are in none, since they were pruned before positions were kept; ``since`` is when the
    first of the others was accepted.
    """

    positions: list[PositionRow]
    overflow: int
    after_seq: int
    since: Timestamp | None
    last_seq: int
    sources: list[SourceRow]

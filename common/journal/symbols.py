"""The symbols of a journal, each with its newest trade."""

from typing import Final, NamedTuple

from common.event import Seq
from common.journal.store import Journal
from common.timestamps import Timestamp


class NewestTrade(NamedTuple):
    """The price and the time of acceptance of a symbol's newest trade."""

    symbol: str
    price: str
    accepted_at: Timestamp
    seq: Seq


# Each name by one search of the index: to scan it would take as long as there are trades.
_NEWEST: Final = """
WITH RECURSIVE names(symbol) AS (
    SELECT min(symbol) FROM trades WHERE symbol > ?
    UNION ALL SELECT (SELECT min(symbol) FROM trades WHERE symbol > names.symbol) FROM names
    WHERE names.symbol IS NOT NULL LIMIT ?
)
SELECT trades.symbol, price, accepted_at, seq FROM names
JOIN trades ON seq = (SELECT max(seq) FROM trades WHERE symbol = names.symbol)
WHERE names.symbol IS NOT NULL ORDER BY trades.symbol
"""


def list_newest(journal: Journal, count: int, after: str = "") -> list[NewestTrade]:
    """List the first ``count`` symbols after one, in order, each with its newest trade. Raises JournalError."""
    return [NewestTrade(*row) for row in journal.query(_NEWEST, after, count)]

"""Makes a journal: ``fill.py PATH TRADES SYMBOLS``; each symbol has trades of both sides."""

import sys
from pathlib import Path
from typing import Final

from common.event import Trade
from common.journal.appending import KeyedTrade, Request
from common.journal.store import Journal

COMMIT: Final = 20_000
AT: Final = "2026-01-31T09:30:00.000000Z"


def fill(path: Path, trades: int, symbols: int) -> None:
    """Append trades; with none the journal is only made."""
    # A commit has the same trades but for its place, so that making them costs little.
    made = [
        KeyedTrade(
            Trade(
                AT, f"SYMBOL{n // 2 % symbols}", "SELL" if n % 2 else "BUY",
                f"{20_000 + n % 7_919}.{n % 97:02}", f"{n % 13}.{n % 9_973:04}1",
            )
        )
        for n in range(min(trades, COMMIT))
    ]  # fmt: skip
    with Journal(path, "normal") as journal:
        for start in range(0, trades, COMMIT):
            journal.append([Request(made[: trades - start], AT)])


if __name__ == "__main__":
    fill(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.write("{}")

"""The answer of ``/positions``: every position, with decimals as text."""

from decimal import Decimal

import msgspec
from msgspec import Struct

from common.quotes import find_quote
from common.settings import Settings
from common.tally import EXACT
from common.timestamps import Timestamp
from sidecar.counters import Counters
from sidecar.positions import Position, Row


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


class PositionsAnswer(Struct):
    """Every position up to ``last_seq``; ``overflow`` counts the trades that have none.

    Trades up to ``after_seq`` are in none, since they were pruned before positions were kept; ``since`` is when the
    first of the others was accepted.
    """

    positions: list[PositionRow]
    overflow: int
    after_seq: int
    since: Timestamp | None
    last_seq: int


def encode_positions(counters: Counters, settings: Settings) -> bytes | None:
    """Return the positions as JSON, None when they are not kept."""
    with counters.lock:
        state = counters.state
        if state.positions is None:
            return None
        kept = state.positions
        held = [
            (Row(row.symbol, row.source, _copy(row.position)), state.symbols[row.symbol].last_price)
            for row in kept.list_rows()
        ]
        answer = PositionsAnswer([], kept.overflow, kept.after_seq, kept.since, state.last_seq)
    answer.positions = [_write_row(row, price, settings) for row, price in held]
    return msgspec.json.encode(answer) + b"\n"


def _copy(position: Position) -> Position:
    return Position(position.quantity, position.cash, position.cost, position.fees)


def _write_row(row: Row, last_price: str | None, settings: Settings) -> PositionRow:
    position = row.position
    average = position.average_price
    return PositionRow(
        row.symbol,
        row.source,
        find_quote(row.symbol, settings.quote_currencies),
        write_decimal(position.quantity),
        None if average is None else write_decimal(average),
        write_decimal(position.realized_pnl),
        None if last_price is None else write_decimal(position.value_at(Decimal(last_price))),
        write_decimal(position.fees),
        last_price,
    )


def write_decimal(value: Decimal) -> str:
    """Write a decimal with all its digits and no zeros at the end."""
    return f"{value.normalize(EXACT):f}"

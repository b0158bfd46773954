"""The answer of ``/positions``: every position, with decimals as text."""

from decimal import Decimal

import msgspec

from common.event import SIDES
from common.positions import PositionRow, PositionsAnswer, SourceRow
from common.quotes import find_quote
from common.settings import Settings
from common.tally import write_sum
from sidecar.counters import Counters
from sidecar.position import Position
from sidecar.positions import Row
from sidecar.sources import Sources, SourceTotals


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
        sources = _list_sources(state.sources, settings)
        answer = PositionsAnswer([], kept.overflow, kept.after_seq, kept.since, state.last_seq, sources)
    answer.positions = [_write_row(row, price, settings) for row, price in held]
    return msgspec.json.encode(answer) + b"\n"


def _list_sources(sources: Sources, settings: Settings) -> list[SourceRow]:
    limits = sources.find_silence_limits(settings.silence_after)
    known = {source: totals for source, totals in sources.totals.items() if totals.last_ts is not None}
    for source in limits:
        known.setdefault(source, SourceTotals())
    buy, sell = SIDES
    return [
        SourceRow(
            source,
            totals.trades[buy],
            totals.trades[sell],
            totals.created_at,
            totals.last_ts,
            limits.get(source),
        )
        for source, totals in known.items()
    ]


def _copy(position: Position) -> Position:
    return Position(position.quantity, position.cash, position.cost, position.fees)


def _write_row(row: Row, last_price: str | None, settings: Settings) -> PositionRow:
    position = row.position
    average = position.average_price
    return PositionRow(
        row.symbol,
        row.source,
        find_quote(row.symbol, settings.quote_currencies),
        write_sum(position.quantity),
        None if average is None else write_sum(average),
        write_sum(position.realized_pnl),
        None if last_price is None else write_sum(position.value_at(Decimal(last_price))),
        write_sum(position.fees),
        last_price,
    )

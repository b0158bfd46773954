"""The rows of a file of trades: read in its format, checked by the schema of a trade, and named by keys."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import TypeVar

import click
import msgspec
from marshmallow import ValidationError
from msgspec import UNSET
from msgspec.structs import astuple

from common.event import TRADE_FIELDS
from webapp.cli.row_keys import RowKeys
from webapp.cli.row_sender import FileTrade, Import, ReadyRow
from webapp.cli.text_file import Row, TextFile
from webapp.cli.trade_formats import ID, BadCellError, Layout, Wanted, choose_layout
from webapp.input.schemas import read_messages, read_trade
from webapp.input.trade_columns import read_columns

T = TypeVar("T")


def read_rows(opened: TextFile, wanted: Wanted, run: str, outcome: Import, together: int) -> Iterator[ReadyRow]:
    """Read the rows of a file, ``together`` at once; those that are rejected are counted with their line and column.

    Raises ClickException when the file is empty, has no row, or has no known form.
    """
    rows = opened.rows()
    first = next(rows, None)
    if first is None:
        message = f"{opened.name}, line 1: it is empty; expected a line of column names"
        raise click.ClickException(message)
    layout = choose_layout(first.cells, wanted, opened.name)
    is_header_alone = bool(layout.header)
    with closing(RowKeys(layout.format, run)) as keys:
        reader = _RowReader(layout, keys, outcome)
        if not layout.header:
            yield from reader.read([first])
        for part in gather(rows, together):
            is_header_alone = False
            yield from reader.read(part)
    if is_header_alone:
        message = f"{opened.name}, line {first.line}: no row follows the column names"
        raise click.ClickException(message)


class _RowReader:
    """Reads the rows of one file in its layout, many at once."""

    def __init__(self, layout: Layout, keys: RowKeys, outcome: Import) -> None:
        self._layout = layout
        self._keys = keys
        self._outcome = outcome

    def read(self, rows: Sequence[Row]) -> Iterator[ReadyRow]:
        try:
            columns = self._layout.read([row.cells for row in rows])
            trades = list(map(FileTrade, *read_columns(columns)))
        except (BadCellError, ValueError, OverflowError, TypeError) as error:
            # The halves are read on their own, down to the rows that cannot be read.
            middle = len(rows) // 2
            if middle:
                yield from self.read(rows[:middle])
                yield from self.read(rows[middle:])
            else:
                yield from self._look_closer(rows[0], error)
        else:
            yield from map(self._name, rows, trades, columns[ID])

    def _name(self, row: Row, trade: FileTrade, trade_id: str | msgspec.UnsetType) -> ReadyRow:
        fields = msgspec.json.encode(trade)
        key = self._keys.number(trade.ts, fields) if trade_id is UNSET else self._keys.name(trade.symbol, str(trade_id))
        return ReadyRow(row.line, trade, b'%b,"key":"%b"}' % (fields[:-1], key.encode()), row.cells)

    def _look_closer(self, row: Row, error: Exception) -> Iterator[ReadyRow]:
        try:
            if isinstance(error, BadCellError):
                raise error
            columns = self._layout.read([row.cells])
            trade = read_trade({name: columns[name][0] for name in TRADE_FIELDS if columns[name][0] is not UNSET})
        except BadCellError as bad:
            self._outcome.reject(row.line, f"column {self._layout.name_column(bad.name)}: {bad}", row.cells)
        except ValidationError as invalid:
            messages = read_messages(invalid).items()
            texts = (f"column {self._layout.name_column(name)}: {' '.join(each)}" for name, each in messages)
            self._outcome.reject(row.line, "; ".join(texts), row.cells)
        else:
            yield self._name(row, FileTrade(*astuple(trade)), columns[ID][0])


def gather(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """Gather rows to lists of ``size``."""
    rows = iter(rows)
    while batch := list(islice(rows, size)):
        yield batch

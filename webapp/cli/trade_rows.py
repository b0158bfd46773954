"""The rows of a file of trades: read in its format, checked by the schema of a trade, and named by keys."""

from collections.abc import Iterable, Iterator

import click
from marshmallow import ValidationError

from webapp.cli.row_keys import RowKeys
from webapp.cli.row_sender import Import, ReadyRow
from webapp.cli.text_file import Row, TextFile
from webapp.cli.trade_formats import BadCellError, Layout, Wanted, choose_layout
from webapp.input.batch import read_texts
from webapp.input.schemas import read_messages


def read_rows(opened: TextFile, wanted: Wanted, run: str, outcome: Import) -> Iterator[ReadyRow]:
    """Read the rows of a file; those that are rejected are counted with their line and column.

    Raises ClickException when the file is empty, has no row, or has no known form.
    """
    rows = opened.rows()
    first = next(rows, None)
    if first is None:
        message = f"{opened.name}, line 1: it is empty; expected a line of column names"
        raise click.ClickException(message)
    layout = choose_layout(first.cells, wanted, opened.name)
    keys = RowKeys(layout.format, run)
    if not layout.header:
        yield from _check(first, layout, keys, outcome)
    last = first
    for last in rows:
        yield from _check(last, layout, keys, outcome)
    if layout.header and last is first:
        message = f"{opened.name}, line {first.line}: no row follows the column names"
        raise click.ClickException(message)


def _check(row: Row, layout: Layout, keys: RowKeys, outcome: Import) -> Iterator[ReadyRow]:
    try:
        fields, trade_id = layout.read(row.cells)
        trade = read_texts(fields)
    except BadCellError as error:
        outcome.reject(row.line, f"column {layout.name_column(error.name)}: {error}", row.cells)
    except ValidationError as error:
        messages = read_messages(error).items()
        texts = (f"column {layout.name_column(name)}: {' '.join(each)}" for name, each in messages)
        outcome.reject(row.line, "; ".join(texts), row.cells)
    else:
        yield ReadyRow(row.line, trade, keys.make(trade, trade_id), row.cells)


def gather(rows: Iterable[ReadyRow], size: int) -> Iterator[list[ReadyRow]]:
    """Gather rows to lists of ``size``."""
    batch: list[ReadyRow] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch

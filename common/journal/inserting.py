"""Inserting many rows of a table: a hundred with each statement."""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain, islice
from typing import Final

from common.journal.file import Database

ROWS: Final = 100
"""Rows of one statement. Each statement gives up the interpreter's lock and takes it again, which waits for whatever
else the process does; more rows gain nothing (docs/bench.md)."""


def insert_rows(db: Database, into: str, rows: Iterable[Sequence[object]]) -> None:
    """Insert rows ``into`` a table, named with its columns or without them."""
    left = iter(rows)
    while part := list(islice(left, ROWS)):
        columns = len(part[0])
        if len(part) == ROWS:
            db.execute(_write_insert(into, columns, ROWS), list(chain.from_iterable(part)))
        else:
            db.executemany(_write_insert(into, columns, 1), part)


@cache
def _write_insert(into: str, columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"INSERT INTO {into} VALUES {', '.join([row] * rows)}"  # noqa: S608 - names of columns, and marks

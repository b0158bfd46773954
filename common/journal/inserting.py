"""Inserting many rows of a table: a hundred with each statement."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Final

from common.journal.file import Database

ROWS: Final = 100
"""Rows of one statement. Each statement gives up the interpreter's lock and takes it again, which waits for whatever
else the process does; more rows gain nothing (docs/bench.md)."""


def insert_columns(db: Database, table: str, columns: Mapping[str, Sequence[object]]) -> None:
    """Insert rows into a table, given by its columns: at least one, all of one length, and not all of one value.

    Blobs are best given as ``bytearray``: for each ``bytes``, sqlite3 looks for an adapter, which takes 0.4 µs.
    """
    given = len(next(iter(columns.values())))
    left = given % ROWS
    if given >= ROWS:
        # A value that all rows have is bound once for a hundred of them.
        shared = {name: column[0] for name, column in columns.items() if _is_shared(column)}
        own = [name for name in columns if name not in shared]
        values = chain.from_iterable(zip(*(columns[name] for name in own), strict=True))
        statement = _write_insert(table, tuple(shared), tuple(own), ROWS)
        for _ in range(given // ROWS):
            db.execute(statement, [*shared.values(), *islice(values, ROWS * len(own))])
    if left:
        rows = zip(*(column[-left:] for column in columns.values()), strict=True)
        db.executemany(_write_insert(table, (), tuple(columns), 1), rows)


def _is_shared(column: Sequence[object]) -> bool:
    return column[0] == column[-1] and column.count(column[0]) == len(column)


@lru_cache(64)
def _write_insert(table: str, shared: Sequence[str], own: Sequence[str], rows: int) -> str:
    names = ", ".join([*shared, *own])
    values = "VALUES " + ", ".join([f"({', '.join('?' * len(own))})"] * rows)
    # Marks without numbers: for each that has one, Python 3.12 and later look up a name.
    source = f"SELECT {'?, ' * len(shared)}* FROM ({values})" if shared else values  # noqa: S608 - names of columns, and marks
    return f"INSERT INTO {table} ({names}) {source}"

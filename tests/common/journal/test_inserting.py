"""Rows given by columns are written as each alone would be, however many share a value."""

import contextlib
import sqlite3

from hypothesis import example, given
from hypothesis import strategies as st

from common.journal.inserting import ROWS, insert_columns

VALUES = st.sampled_from(["", "a", "é", None, bytearray(b"\x00\xff"), 7])


@example(count=2 * ROWS, shared={"a": "x", "b": None}, drawn=[])
@given(
    count=st.sampled_from([0, 1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS + 7]),
    shared=st.dictionaries(st.sampled_from("abc"), VALUES),
    drawn=st.lists(VALUES, max_size=5),
)
def test_columns_are_written_as_their_rows(count: int, shared: dict[str, object], drawn: list[object]) -> None:
    columns: dict[str, list[object] | range] = {"seq": range(5, 5 + count)}
    for name in "abc":
        own = [drawn[n % len(drawn)] if drawn else n for n in range(count)]
        columns[name] = [shared[name]] * count if name in shared else own
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("CREATE TABLE given (seq INTEGER PRIMARY KEY, a, b, c, d DEFAULT 'left out')")
        insert_columns(db, "given", columns)
        found = db.execute("SELECT * FROM given ORDER BY seq").fetchall()
    assert found == [(*row, "left out") for row in zip(*columns.values(), strict=True)]

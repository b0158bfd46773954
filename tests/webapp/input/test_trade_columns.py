"""Many values read at once are read as each alone: canonical ones with one look, and any other one by one."""

from datetime import timedelta

import pytest
from marshmallow import fields

from common.timestamps import format_timestamp, now
from webapp.input.trade_columns import SENT_FIELDS, read_column

AHEAD = format_timestamp(now() + timedelta(days=1))

CANONICAL = {
    "price": ["1", "0.250", "007", "9" * 20],
    "fee": ["0", "0.00", "1.5"],
    "ts": ["2026-01-31T09:30:00.000000Z", "1999-12-31T23:59:59.999999Z"],
    "key": ["a", "!~", "k" * 255],
}
OTHERS = {
    "price": ["1e3", "0", "0.00", "-1", "", "1\n", "1" * 21, "."],
    "fee": ["1e3", "-1", "", "0 "],
    "ts": [
        *("2026-01-31T09:30:00Z", "2026-01-31T10:30:00+01:00", "2026-13-31T09:30:00.000000Z", "2026-01-31"),
        *("2026-01-31T09:30:00.000000Z\n", "2026-01-31T09:30:61.000000Z", AHEAD, ""),
    ],
    "key": ["", "a b", "ä", "k" * 256, "a\n"],
}


def read(field: fields.Field[str], text: str) -> str | None:
    try:
        found: str = field.read(text)  # type: ignore[attr-defined]
    except ValueError:
        return None
    return found


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        *CANONICAL.items(),
        *((name, [*CANONICAL[name], other]) for name, others in OTHERS.items() for other in others),
    ],
)
def test_many_values_are_read_as_each_alone(name: str, texts: list[str]) -> None:
    alone = [read(SENT_FIELDS[name], text) for text in texts]
    try:
        together: list[str | None] = list(read_column(name, texts))
    except ValueError:
        together = [None]
    assert together == ([None] if None in alone else alone)

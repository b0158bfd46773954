"""The rows of a batch: its body, an array or lines of JSON, split before any of them is read."""

from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec
from msgspec import Raw
from werkzeug.exceptions import RequestEntityTooLarge

from webapp.input.json_body import BadBodyError, read_json, show

T = TypeVar("T")

VALUES_PER_TRADE: Final = 200
"""Commas for each trade of a full batch: more than its fields and its longest texts have."""

_REREAD_BYTES = 1024 * 1024

_rows = msgspec.json.Decoder(list[Raw])


def split_lines(body: bytes, limit: int) -> list[tuple[str, bytes]]:
    """Split a body of lines to its rows, each with its place. Raises BadBodyError and RequestEntityTooLarge."""
    count = body.count(b"\n") + 1
    rows: list[tuple[str, bytes]] = []
    # Empty lines are no trades, but a body of nothing else would be slow to split.
    if count <= 2 * limit + 1:
        rows = [(f"line {number}", line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
    return _check_count(rows, limit, count)


def split_array(body: bytes, limit: int) -> list[tuple[str, object]]:
    """Split an array to its rows, each with its place; those of one that is not strict JSON are read already.

    Raises BadBodyError and RequestEntityTooLarge.
    """
    # Before parsing: each value of a wide array takes much more memory than its text.
    values = body.count(b",")
    if values > limit * VALUES_PER_TRADE:
        return _check_count([], limit, values)
    try:
        rows: Iterable[object] = [bytes(row) for row in _rows.decode(body)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        rows = _reread(body, error)
    return _check_count([(f"trade {index}", row) for index, row in enumerate(rows)], limit, limit)


def _reread(body: bytes, error: Exception) -> list[object]:
    """Read an array that is not strict JSON, as with NaN, so that the error can name the field."""
    if len(body) > _REREAD_BYTES:
        message = f"the body is not a JSON array: {error}"
        raise BadBodyError(message)
    found = read_json(body, "a JSON array of trades")
    if not isinstance(found, list):
        message = f"the body is {show(found)}; expected a JSON array of trades"
        raise BadBodyError(message)
    return found


def _check_count(rows: list[tuple[str, T]], limit: int, counted: int) -> list[tuple[str, T]]:
    if len(rows) > limit or counted > 2 * limit + 1:
        message = f"The batch has more than {limit} trades, the limit"
        raise RequestEntityTooLarge(message)
    if not rows:
        message = f"the batch has no trade; expected 1 to {limit}"
        raise BadBodyError(message)
    return rows

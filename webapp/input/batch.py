"""Batches: many trades in one body, a JSON array or one object a line, read in small steps."""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec
from marshmallow import ValidationError
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import astuple
from werkzeug.exceptions import RequestEntityTooLarge

from common.event import Trade
from webapp.input.fields import DecimalField
from webapp.input.json_body import BadBodyError, JsonNumber, read_json, read_object, show
from webapp.input.schemas import BatchTradeSchema, read_messages, read_trade

ERRORS_LIMIT: Final = 100
"""The most trades whose errors an answer has."""

STEP_SECONDS: Final = 0.005
"""How long a batch is read before other requests of the worker have their turn."""

VALUES_PER_TRADE: Final = 200
"""Commas for each trade of a full batch: more than its fields and its longest texts have."""

_REREAD_BYTES = 1024 * 1024
_STEP_ROWS = 16
_QUOTE, _NUMBER = b'"', b"-0123456789"

_SCHEMA = BatchTradeSchema()
_FIELDS = _SCHEMA.fields
_FEW = ("symbol", "side", "source")
"""Fields with few different values, which are read once each."""

_READERS: dict[str, Callable[[Any], str]] = {
    name: lru_cache(4096)(field.read) if name in _FEW else field.read  # type: ignore[attr-defined]
    for name, field in _FIELDS.items()
}

# Its fields are those of the schema; a decimal is kept as it was written, a number or a text.
_Sent = msgspec.defstruct(
    "_Sent",
    [
        (name, kind) if field.required else (name, kind | UnsetType, UNSET)
        for name, field in _FIELDS.items()
        for kind in [Raw if isinstance(field, DecimalField) else str]
    ],
    forbid_unknown_fields=True,
    kw_only=True,
)
_decoder = msgspec.json.Decoder(_Sent)
_rows = msgspec.json.Decoder(list[Raw])


class SentTrade(NamedTuple):
    """A trade of a batch, the name of its key, and its fields as they were sent, without the key."""

    trade: Trade
    key: str | None
    fields: Mapping[str, object]


class BatchError(Exception):
    """A batch with trades that are not accepted: the messages by index and field, of the first ERRORS_LIMIT trades."""

    def __init__(self, trades: int, errors: Mapping[str, Mapping[str, list[str]]]) -> None:
        super().__init__(f"{len(errors)} of {trades} trades")
        self.trades = trades
        self.errors = errors


def read_batch(body: bytes, *, lines: bool, limit: int, pause: Callable[[], None]) -> list[SentTrade]:
    """Read a batch of at most ``limit`` trades, as ``lines`` of JSON or as one array; ``pause`` is called in between.

    Raises BadBodyError when the body is no batch, RequestEntityTooLarge for too many trades, and BatchError.
    """
    rows = _split_lines(body, limit) if lines else _split_array(body, limit)
    found: list[SentTrade] = []
    errors: dict[str, Mapping[str, list[str]]] = {}
    turn = time.perf_counter()
    for index, (place, row) in enumerate(rows):
        if index % _STEP_ROWS == 0 and time.perf_counter() - turn > STEP_SECONDS:
            pause()
            turn = time.perf_counter()
        sent = read_quickly(row) if isinstance(row, bytes) else None
        try:
            found.append(sent or read_fully(row, place))
        except ValidationError as error:
            errors[str(index)] = read_messages(error)
            if len(errors) == ERRORS_LIMIT:
                break
    if errors:
        raise BatchError(len(rows), errors)
    return found


def _split_lines(body: bytes, limit: int) -> list[tuple[str, object]]:
    count = body.count(b"\n") + 1
    rows: list[tuple[str, object]] = []
    # Empty lines are no trades, but a body of nothing else would be slow to split.
    if count <= 2 * limit + 1:
        rows = [(f"line {number}", line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
    return _check_count(rows, limit, count)


def _split_array(body: bytes, limit: int) -> list[tuple[str, object]]:
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


def _check_count(rows: list[tuple[str, object]], limit: int, counted: int) -> list[tuple[str, object]]:
    if len(rows) > limit or counted > 2 * limit + 1:
        message = f"The batch has more than {limit} trades, the limit"
        raise RequestEntityTooLarge(message)
    if not rows:
        message = f"the batch has no trade; expected 1 to {limit}"
        raise BadBodyError(message)
    return rows


def read_quickly(row: bytes) -> SentTrade | None:
    """Read a good trade; None for any other, and for one that needs a closer look."""
    if b"\\" in row:
        return None
    given: dict[str, object] = {}
    values: dict[str, Any] = {}
    texts = 0
    try:
        for name, sent in zip(_FIELDS, astuple(_decoder.decode(row)), strict=True):
            if sent is UNSET:
                continue
            value = _read_raw(bytes(sent)) if type(sent) is Raw else sent
            texts += 2 if type(value) is str else 1
            given[name] = value
            values[name] = _READERS[name](value)
    except (msgspec.MsgspecError, ValueError, OverflowError):
        return None
    # Without escapes, each name and each text has two quotes: more of them are of a name that is there twice.
    if row.count(_QUOTE) != 2 * texts:
        return None
    if "ts" not in values:
        values["ts"] = _FIELDS["ts"].load_default()
    given.pop("key", None)
    return SentTrade(*_SCHEMA.make(values), given)


def read_texts(given: Mapping[str, str]) -> Trade:
    """Read the texts of a trade's fields. Raises ValidationError."""
    try:
        values: dict[str, Any] = {name: _READERS[name](value) for name, value in given.items()}
        return Trade(**values)
    except (KeyError, TypeError, ValueError, OverflowError):
        return read_trade(given)


def _read_raw(token: bytes) -> str | JsonNumber:
    if token[:1] == _QUOTE:
        return token[1:-1].decode()
    if token[:1] in _NUMBER:
        return JsonNumber(token.decode())
    raise ValueError


def read_fully(row: object, place: str) -> SentTrade:
    """Read a trade by its schema. Raises ValidationError, and BadBodyError with its place in the batch."""
    if isinstance(row, bytes) and row.lstrip()[:1] == b"{":
        try:
            row = read_object(row)
        except BadBodyError as error:
            message = f"{place}: {error}"
            raise BadBodyError(message) from error
    elif isinstance(row, bytes):
        row = _read_other(row, place)
    if not isinstance(row, dict):
        message = f"{show(row)} is not accepted; expected a JSON object"
        raise ValidationError({"trade": [message]})
    trade, key = _SCHEMA.read(row)
    return SentTrade(trade, key, {name: value for name, value in row.items() if name != "key"})


def _read_other(row: bytes, place: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return read_json(row, "a JSON object")
    except BadBodyError as error:
        message = f"{place}: {error}"
        raise BadBodyError(message) from error

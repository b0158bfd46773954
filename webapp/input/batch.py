"""Batches: many trades in one body, a JSON array or one object a line, read in small steps."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import msgspec
from marshmallow import ValidationError
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import astuple

from common.event import Column, Trade, TradeColumns
from webapp.input.batch_rows import VALUES_PER_TRADE, split_array, split_lines
from webapp.input.fields import DecimalField
from webapp.input.idempotency import digest_columns, write_text
from webapp.input.json_body import BadBodyError, JsonNumber, read_json, read_object, show
from webapp.input.schemas import BatchTradeSchema, read_messages
from webapp.input.trade_columns import KEY, SENT_FIELDS, read_column, read_columns

ERRORS_LIMIT: Final = 100
"""The most trades whose errors an answer has."""

STEP_SECONDS: Final = 0.005
"""How long a batch is read before other requests of the worker have their turn."""

_STEP_ROWS = 256
_QUOTE = b'"'
_NEGATIVE_ZERO = re.compile(rb"-0\s*[,}]")

_SCHEMA = BatchTradeSchema()
_DECIMALS = frozenset(name for name, field in SENT_FIELDS.items() if isinstance(field, DecimalField))

# A decimal is a text or a number; a number with a point or an exponent is kept as it was written.
_Sent = msgspec.defstruct(
    "_Sent",
    [
        (name, kind) if field.required else (name, kind | UnsetType, UNSET)
        for name, field in SENT_FIELDS.items()
        for kind in [Any if name in _DECIMALS else str]
    ],
    forbid_unknown_fields=True,
    kw_only=True,
)
_decoder = msgspec.json.Decoder(list[_Sent], float_hook=JsonNumber)  # type: ignore[valid-type] # made above


class SentTrade(Struct, frozen=True, gc=False):
    """A trade of a batch, and if it has a key, the name of that and the digest of its fields as they were sent."""

    trade: Trade
    key: str | None = None
    digest: bytes = b""


class SentTrades(NamedTuple):
    """The trades of a batch by columns; when any has a key, the name of each one's, and the digests of all."""

    trades: TradeColumns
    names: Sequence[str | None] = ()
    digests: Sequence[bytes] = ()


class BatchError(Exception):
    """A batch with trades that are not accepted: the messages by index and field, of the first ERRORS_LIMIT trades."""

    def __init__(self, trades: int, errors: Mapping[str, Mapping[str, list[str]]]) -> None:
        super().__init__(f"{len(errors)} of {trades} trades")
        self.trades = trades
        self.errors = errors


def read_batch(body: bytes, *, lines: bool, limit: int, pause: Callable[[], None]) -> SentTrades:
    """Read a batch of at most ``limit`` trades, as ``lines`` of JSON or as one array; ``pause`` is called in between.

    Raises BadBodyError when the body is no batch, RequestEntityTooLarge for too many trades, and BatchError.
    """
    found = read_good_batch(body, lines=lines, limit=limit, pause=pause)
    if found is not None:
        return found
    return _read_one_by_one(split_lines(body, limit) if lines else split_array(body, limit), _Steps(pause))


def read_good_batch(body: bytes, *, lines: bool, limit: int, pause: Callable[[], None]) -> SentTrades | None:
    """Read a batch of good trades; None for any other, and for one that needs a closer look. Raises as read_batch."""
    rows = split_lines(body, limit) if lines else []
    array = b"[%b]" % b",".join(line for _, line in rows) if lines else body
    found = _read_together(array, limit, _Steps(pause))
    # A line may have several trades, or a part of one; then its number must be named. A part begins with no brace, so
    # as many trades as lines that begin with one are a trade in each.
    if found is None or (lines and not (len(found[0]) == len(rows) and all(map(_begins_trade, rows)))):
        return None
    *trades, names, digests = found
    return _keep_named(TradeColumns(trades), names, digests)


def _begins_trade(row: tuple[str, bytes]) -> bool:
    return row[1].lstrip()[:1] == b"{"


def _read_one_by_one(rows: Sequence[tuple[str, object]], steps: "_Steps") -> SentTrades:
    found: list[SentTrade] = []
    errors: dict[str, Mapping[str, list[str]]] = {}
    for index, (place, row) in enumerate(rows):
        steps.take()
        quick = read_quickly(row) if isinstance(row, bytes) else None
        try:
            found.append(quick or read_fully(row, place))
        except ValidationError as error:
            errors[str(index)] = read_messages(error)
            if len(errors) == ERRORS_LIMIT:
                break
    if errors:
        raise BatchError(len(rows), errors)
    return _keep_named(
        TradeColumns.split(each.trade for each in found),
        [each.key for each in found],
        [each.digest for each in found],
    )


def _keep_named(trades: TradeColumns, names: Sequence[str | None], digests: Sequence[bytes]) -> SentTrades:
    return SentTrades(trades) if names.count(None) == len(names) else SentTrades(trades, names, digests)


class _Steps:
    """Lets other requests of the worker have their turn, every STEP_SECONDS."""

    def __init__(self, pause: Callable[[], None]) -> None:
        self._pause = pause
        self._turn = time.perf_counter()

    def take(self) -> None:
        if time.perf_counter() - self._turn > STEP_SECONDS:
            self._pause()
            self._turn = time.perf_counter()


def read_quickly(row: bytes) -> SentTrade | None:
    """Read a good trade; None for any other, and for one that needs a closer look."""
    found = _read_together(b"[%b]" % row, 1, _Steps(lambda: None))
    if found is None:
        return None
    *trade, name, digest = (column[0] for column in found)
    return SentTrade(Trade(*trade), name, digest)


def _read_together(array: bytes, limit: int, steps: _Steps) -> list[Column] | None:
    """Read an array of good trades, from one to ``limit``; None for any other, and for one that needs a closer look.

    The columns are those of the trades, of the names of their keys, and of their digests.
    """
    # An array of anything else would take much more memory than its text. Minus zero is read as 0.
    wide = array.count(b",") > max(limit * len(SENT_FIELDS), VALUES_PER_TRADE)
    if wide or b"\\" in array or _NEGATIVE_ZERO.search(array):
        return None
    parts: list[list[Column]] = []
    quotes = 0
    try:
        rows = _decoder.decode(array)
        if not 1 <= len(rows) <= limit:
            return None
        for start in range(0, len(rows), _STEP_ROWS):
            steps.take()
            columns = zip(SENT_FIELDS, zip(*map(astuple, rows[start : start + _STEP_ROWS]), strict=True), strict=True)
            written = {name: _write_texts(name, column) for name, column in columns}
            quotes += sum(count for _, count in written.values())
            parts.append(_read({name: texts for name, (texts, _) in written.items()}))
    except (msgspec.MsgspecError, ValueError, OverflowError, TypeError, RecursionError):
        return None
    # Without escapes, each name and each text has two quotes: more of them are of a name that is there twice.
    if array.count(_QUOTE) != quotes:
        return None
    return parts[0] if len(parts) == 1 else [list(chain.from_iterable(each)) for each in zip(*parts, strict=True)]


def _write_texts(name: str, column: Column) -> tuple[Column, int]:
    """Write the numbers of a column as texts, and count its quotes. Raises TypeError for other values."""
    sent = len(column) - column.count(UNSET)
    if name not in _DECIMALS:
        return column, 4 * sent
    types = list(map(type, column))
    texts = types.count(str)
    return column if texts == sent else [_write_text(value) for value in column], 2 * (sent + texts)


def _write_text(value: object) -> object:
    if isinstance(value, JsonNumber):
        return value.text
    if type(value) is int:
        return str(value)
    if value is UNSET or isinstance(value, str):
        return value
    raise TypeError


def _read(texts: Mapping[str, Column]) -> list[Column]:
    names = read_column(KEY, texts[KEY])
    digests: Sequence[bytes] = [b""] * len(names)
    if names.count(None) < len(names):
        digests = _digest({name: column for name, column in texts.items() if name != KEY})
    return [*read_columns(texts), names, digests]


def _digest(texts: Mapping[str, Column]) -> Sequence[bytes]:
    given = {name: column for name, column in texts.items() if column.count(UNSET) < len(column)}
    if not any(column.count(UNSET) for column in given.values()):
        return digest_columns(given)
    rows = zip(*given.values(), strict=True)
    return [
        _digest_row({name: text for name, text in zip(given, row, strict=True) if text is not UNSET}) for row in rows
    ]


def _digest_row(values: Mapping[str, object]) -> bytes:
    return digest_columns({name: [write_text(value)] for name, value in values.items()})[0]


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
    trade, name = _SCHEMA.read(row)
    if name is None:
        return SentTrade(trade)
    del row[KEY]
    return SentTrade(trade, name, _digest_row(row))


def _read_other(row: bytes, place: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return read_json(row, "a JSON object")
    except BadBodyError as error:
        message = f"{place}: {error}"
        raise BadBodyError(message) from error

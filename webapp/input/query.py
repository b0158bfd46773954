"""The schemas of query strings, one per route."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from flask import current_app, request
from marshmallow import ValidationError, validates_schema
from msgspec import Meta
from werkzeug.datastructures import MultiDict

from common.event import SEQ_MAX, SOURCE_PATTERN
from webapp.input.encoding import check_encoding
from webapp.input.fields import (
    NamingField,
    RefField,
    SideField,
    SourceField,
    SymbolField,
    read_ascii,
)
from webapp.input.query_fields import TimeColumnField, TimestampField, WholeField, WindowField
from webapp.input.schemas import explain
from webapp.input.strict_schema import StrictSchema

BARS_MAX: Final = 2000

_JOURNAL_ID = re.compile("[0-9a-f]{32}")

Query = MultiDict[str, str]


class _QuerySchema(StrictSchema[dict[str, Any]]):
    word = "parameter"
    ignores_empty = False
    """Whether a parameter without a value is as one that is left out: a page's form sends all of its fields."""


class HostField(NamingField[str]):
    """A host of a hub, by its name in the setting RELAY_HOST_NAMES or by its journal_id, which is what it becomes."""

    brief = "a name in RELAY_HOST_NAMES, or a journal_id"
    expected = "the name of a host in RELAY_HOST_NAMES, or a journal_id of 32 hexadecimal digits"
    accepts = Annotated[str, Meta(pattern=SOURCE_PATTERN)]

    def read(self, value: object) -> str:
        """Read a host. Raises ValueError."""
        text, names = read_ascii(value), current_app.config["SETTINGS"].relay_host_names
        if _JOURNAL_ID.fullmatch(text):
            return text
        if text not in names:
            raise ValueError
        return str(names[text])


class PageSchema(_QuerySchema):
    """The parameters of ``GET /trades``."""

    symbol = SymbolField(load_default=None)
    side = SideField(load_default=None)
    source = SourceField(load_default=None)
    host = HostField(load_default=None)
    after = WholeField(0, SEQ_MAX, load_default=None)
    limit = WholeField(1, 1000, load_default=100)


class FeedSchema(_QuerySchema):
    """The parameters of ``GET /feed``; ``after`` is a seq."""

    symbol = SymbolField(load_default=None)
    after = WholeField(0, SEQ_MAX, load_default=None)


class MarketSchema(_QuerySchema):
    """The parameters of ``GET /market``; ``window`` and ``step`` are in seconds."""

    symbol = SymbolField(load_default=None)
    window = WholeField(1, 30 * 86_400, load_default=900)
    step = WholeField(1, 86_400, load_default=5)

    @validates_schema
    def _bound_bars(self, values: Mapping[str, int], **_: object) -> None:
        if values["window"] > values["step"] * BARS_MAX:
            message = f"{values['step']} is too small for this window; expected at most {BARS_MAX} steps"
            raise ValidationError(message, "step")


class BarsSchema(MarketSchema):
    """The parameters of ``GET /market/bars``; ``until`` is a time of the kind that ``time`` names."""

    symbol = SymbolField(required=True)
    window = WholeField(1, BARS_MAX * 86_400, load_default=900)
    time = TimeColumnField(load_default="accepted_at")
    until = TimestampField(load_default=None)


class SymbolsSchema(_QuerySchema):
    """The parameters of ``GET /market/symbols``; ``search`` is a part of a symbol."""

    search = SymbolField(load_default=None)
    limit = WholeField(1, 1000, load_default=100)


class BlotterSchema(_QuerySchema):
    """The parameters of the blotter; ``since`` and ``until`` are times of the kind that ``time`` names."""

    ignores_empty = True

    symbol = SymbolField(load_default=None)
    side = SideField(load_default=None)
    source = SourceField(load_default=None)
    ref = RefField(load_default=None)
    host = HostField(load_default=None)
    since = WindowField(load_default=None)
    until = WindowField(load_default=None)
    time = TimeColumnField(load_default="accepted_at")
    before = WholeField(1, SEQ_MAX, load_default=None)
    limit = WholeField(1, 1000, load_default=50)


BLOTTER_FILTERS: Final = tuple(name for name in BlotterSchema().fields if name != "before")
"""The parameters that the links between pages keep, besides ``before``."""

_PAGE, _FEED, _MARKET, _BARS, _BLOTTER = PageSchema(), FeedSchema(), MarketSchema(), BarsSchema(), BlotterSchema()
_SYMBOLS = SymbolsSchema()


def read_page(query: Query) -> dict[str, Any]:
    """Read the parameters of ``GET /trades``. Raises marshmallow's ValidationError."""
    return _read(_PAGE, query)


def read_feed(query: Query, last_event_id: str | None) -> dict[str, Any]:
    """Read the parameters of ``GET /feed``; ``last_event_id`` replaces ``after``. Raises ValidationError."""
    return _read(_FEED, query, {"after": last_event_id} if last_event_id else {})


def read_market(query: Query) -> dict[str, Any]:
    """Read the parameters of ``GET /market``. Raises marshmallow's ValidationError."""
    return _read(_MARKET, query)


def read_bars(query: Query) -> dict[str, Any]:
    """Read the parameters of ``GET /market/bars``. Raises marshmallow's ValidationError."""
    return _read(_BARS, query)


def read_symbols(query: Query) -> dict[str, Any]:
    """Read the parameters of ``GET /market/symbols``. Raises marshmallow's ValidationError."""
    return _read(_SYMBOLS, query)


def read_blotter(query: Query) -> dict[str, Any]:
    """Read the parameters of the blotter. Raises marshmallow's ValidationError."""
    wanted = _read(_BLOTTER, query)
    names = {"since": "ts_since", "until": "ts_until"} if wanted.pop("time") == "ts" else {}
    return {names.get(name, name): value for name, value in wanted.items()}


def explain_blotter(error: ValidationError, query: Query) -> dict[str, list[str]]:
    """Say in at most 12 words why each filter of the blotter is not accepted, for its page."""
    return explain(error, query, _BLOTTER)


def _read(schema: _QuerySchema, query: Query, replaced: Mapping[str, str] = {}) -> dict[str, Any]:
    check_encoding("query", request.query_string)
    # A duplicate parameter becomes a list, which no field accepts.
    sent = {name: values[0] if len(values) == 1 else values for name, values in query.lists()}
    given = {name: value for name, value in sent.items() if value != "" or not schema.ignores_empty}
    return schema.read({**given, **replaced})

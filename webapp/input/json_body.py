"""Request bodies: receives a whole body, and reads its JSON with every number as text, so that no digit is lost."""

import json
import re
from typing import Final, Never

from flask import Request
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped] # gunicorn is not typed
from msgspec import Struct
from werkzeug.exceptions import BadRequest

from common.display import SHOWN, show_text

FIELDS_LIMIT: Final = 100
"""The most fields of one object."""

VALUES_LIMIT: Final = 1000
"""The most commas of a body, strings included; a valid body has far fewer."""

DEPTH_LIMIT: Final = 16
"""The deepest nesting of objects and arrays."""

_BRACKETS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]|[\]}]', re.DOTALL)


class BadBodyError(Exception):
    """A body that is not one JSON object, with the reason as its text."""


class JsonNumber(Struct, frozen=True):
    """A number as it was written; NaN and Infinity too, so that the error can name their field."""

    text: str


def receive(request: Request, limit: int | None = None) -> bytes:
    """Receive the whole body, of at most ``limit`` bytes.

    Raises BadRequest when it is malformed or ends early, RequestEntityTooLarge, and RequestTimeout.
    """
    if limit is not None:
        request.max_content_length = limit
    try:
        body = request.get_data()
    except ParseException as error:
        raise BadRequest("The chunks of the body are malformed") from error
    except OSError as error:
        raise BadRequest("The body ended before its last chunk, or the connection broke") from error
    expected = request.content_length
    # gunicorn does not report a body that ends early.
    if expected is not None and len(body) < expected:
        raise BadRequest(f"The body ended after {len(body)} bytes; Content-Length says {expected}")
    return body


def read_object(body: bytes) -> dict[str, object]:
    """Read a body as one JSON object, its numbers as JsonNumber. Raises BadBodyError."""
    _check_size(body)
    found = read_json(body, "a JSON object")
    if not isinstance(found, dict):
        message = f"the body is {show(found)}; expected a JSON object"
        raise BadBodyError(message)
    return found


def read_json(body: bytes, expected: str) -> object:
    """Read JSON, its numbers as JsonNumber. Raises BadBodyError, which says what was ``expected``."""
    try:
        found: object = json.loads(
            body.decode(),
            parse_float=JsonNumber,
            parse_int=JsonNumber,
            parse_constant=JsonNumber,
            object_pairs_hook=read_pairs,
        )
    except UnicodeDecodeError as error:
        message = f"the body is not UTF-8 at byte {error.start}; expected {expected}"
        raise BadBodyError(message) from error
    except json.JSONDecodeError as error:
        message = f"the body is not JSON: {_describe(error)}; expected {expected}"
        raise BadBodyError(message) from error
    except RecursionError as error:
        message = f"the body is nested too deep; expected {expected}"
        raise BadBodyError(message) from error
    return found


def show(value: object) -> str:
    """Show a value in an error message: as it was sent, cut when it is long, or as "an object" or "an array"."""
    match value:
        case JsonNumber(text):
            return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"
        case dict():
            return "an object"
        case list():
            return "an array"
        case str():
            return show_text(value)
    return json.dumps(value)


def read_pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Read the fields of an object. Raises BadBodyError for too many, or for a duplicate."""
    if len(pairs) > FIELDS_LIMIT:
        message = f"an object has more than {FIELDS_LIMIT} fields; expected those of a trade"
        raise BadBodyError(message)
    found = dict(pairs)
    if len(found) < len(pairs):
        seen = set[str]()
        for name, _ in pairs:
            if name in seen:
                _reject_duplicate(name)
            seen.add(name)
    return found


def _check_size(body: bytes) -> None:
    # Before parsing, since a wide or deep body is slow to parse.
    if body.count(b",") > VALUES_LIMIT:
        message = f"the body has more than {VALUES_LIMIT} values; expected a JSON object"
        raise BadBodyError(message)
    if body.count(b"[") + body.count(b"{") <= DEPTH_LIMIT:
        return
    depth = 0
    for found in _BRACKETS.finditer(body):
        match found[0]:
            case b"[" | b"{":
                depth += 1
            case b"]" | b"}":
                depth = max(0, depth - 1)
        if depth > DEPTH_LIMIT:
            message = f"the body is nested too deep (over {DEPTH_LIMIT} levels); expected a JSON object"
            raise BadBodyError(message)


def _describe(error: json.JSONDecodeError) -> str:
    rest = error.doc[error.pos :]
    if error.msg.startswith("Illegal trailing comma"):
        # Python 3.13 finds the comma, an earlier one the bracket.
        rest = rest.removeprefix(",").lstrip(" \t\r\n")
    at = len(error.doc) - len(rest)
    if rest[:1] in {"}", "]"} and error.doc[:at].rstrip().endswith(","):
        found = json.JSONDecodeError(error.msg, error.doc, at)
        return f"a comma before {rest[0]} at line {found.lineno} column {found.colno}"
    return str(error)


def _reject_duplicate(name: str) -> Never:
    message = f"the body names {show(name)} more than once; expected each field once"
    raise BadBodyError(message)

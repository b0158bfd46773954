"""The JSON body of a request, read without losing a digit: numbers keep the text they came with."""

import json
from dataclasses import dataclass
from typing import Never

_SHOWN = 64


class BadBodyError(Exception):
    """A body that is not one JSON object; its text says why."""


@dataclass(frozen=True)
class JsonNumber:
    """A number as it was written; NaN and Infinity too, so that their field can be named."""

    text: str


def read_object(body: bytes) -> dict[str, object]:
    """Read a body as one JSON object, its numbers as JsonNumber. Raises BadBodyError."""
    try:
        found = json.loads(
            body.decode(),
            parse_float=JsonNumber,
            parse_int=JsonNumber,
            parse_constant=JsonNumber,
            object_pairs_hook=_read_pairs,
        )
    except UnicodeDecodeError as error:
        message = f"the body is not UTF-8 at byte {error.start}; expected a JSON object"
        raise BadBodyError(message) from error
    except json.JSONDecodeError as error:
        message = f"the body is not JSON: {error}; expected a JSON object"
        raise BadBodyError(message) from error
    except RecursionError as error:
        message = "the body is nested too deep; expected a JSON object"
        raise BadBodyError(message) from error
    if not isinstance(found, dict):
        message = f"the body is {show(found)}; expected a JSON object"
        raise BadBodyError(message)
    return found


def show(value: object) -> str:
    """Write a value as JSON for an error message, cut to 64 characters; an object or an array only by its kind."""
    match value:
        case JsonNumber(text):
            pass
        case dict():
            text = "an object"
        case list():
            text = "an array"
        case _:
            text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _read_pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        _refuse_repeat(next(name for name in names if names.count(name) > 1))
    return found


def _refuse_repeat(name: str) -> Never:
    message = f"the body names {show(name)} more than once; expected each field once"
    raise BadBodyError(message)

"""Idempotency keys: a request sent twice with the same key is one trade.

Source: draft-ietf-httpapi-idempotency-key-header.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as _quote

from flask import request
from werkzeug.exceptions import BadRequest

from common.display import show_text
from common.journal.keys import SERVER, Key
from webapp.input.json_body import JsonNumber

HEADER = "Idempotency-Key"
FORM_FIELD = "idempotency_key"

_NAME = re.compile(r'"([!#-~]{1,255})"|([!#-~]{1,255})')


def read_header(values: Mapping[str, object], owner: str) -> Key | None:
    """Read the key of the request's header, for the fields of its trade; None without the header.

    Raises BadRequest.
    """
    name = _read_name()
    return None if name is None else make_trade_key(owner, name, values)


def read_request_header(owner: str, body: bytes) -> Key | None:
    """Read the key of a batch; None without the header. Raises BadRequest."""
    name = _read_name()
    return None if name is None else Key(owner, name, hashlib.sha256(body).digest())


def read_form(name: str | None, values: Mapping[str, object]) -> Key | None:
    """Read the one-time key of a posted form, for its fields; None without a well-formed one.

    The server made it, and owns it.
    """
    found = re.fullmatch(r"[0-9a-f-]{36}", name or "")
    return make_trade_key(SERVER, found[0], values) if found else None


def _read_name() -> str | None:
    given = request.headers.get(HEADER)
    if given is None:
        return None
    found = _NAME.fullmatch(given)
    if found is None:
        message = (
            f"{HEADER} is {show_text(given)}; expected 1 to 255 visible ASCII characters (in double quotes or not)"
        )
        raise BadRequest(message)
    return found[1] or found[2]


def make_trade_key(owner: str, name: str, values: Mapping[str, object]) -> Key:
    """Make the key of a trade, from its fields as they were sent."""
    (digest,) = digest_columns({each: [write_text(value)] for each, value in values.items()})
    return Key(owner, name, digest)


def digest_columns(texts: Mapping[str, Sequence[str]]) -> list[bytes]:
    """Digest the fields of many trades, as they were sent, by columns.

    A digest is the SHA-256 of what json.dumps writes with sort_keys, as in version 1.
    """
    names = sorted(texts)
    template = "{" + ", ".join(f"{_quote(name)}: %s" for name in names) + "}"
    rows = zip(*(map(_quote, texts[name]) for name in names), strict=True)
    return [hashlib.sha256((template % row).encode()).digest() for row in rows]


def write_text(value: object) -> str:
    """Write a value as it was sent."""
    return value.text if isinstance(value, JsonNumber) else str(value)

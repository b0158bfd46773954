"""The body of a webhook: JSON whatever its Content-Type says, or a form."""

import json
import re
from typing import Final

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from webapp.input.encoding import check_encoding
from webapp.input.form import FORM_BYTES
from webapp.input.json_body import read_object, receive

FORMS: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
"""The content types of a form."""

PLACEHOLDER: Final = r"\{\{[^{}]*\}\}"
"""A placeholder of TradingView that was not filled in, like ``{{close}}``."""

# A text first, so that a placeholder in a text is left alone.
_BARE = re.compile(rf'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|({PLACEHOLDER})', re.DOTALL)


def receive_payload(request: Request) -> tuple[bytes, dict[str, object]]:
    """Receive the body of a webhook; return what it says, the same bytes each time, and its fields.

    Numbers are JsonNumber. Raises BadRequest, BadBodyError, RequestEntityTooLarge and RequestTimeout.
    """
    body = receive(request)
    # Some tools, and curl, send JSON as a form.
    if request.mimetype in FORMS and body.lstrip()[:1] != b"{":
        form = _read_form(request, body)
        # Not the body: that of a form in parts has another boundary each time.
        return json.dumps(form).encode(), form
    return body, read_object(_quote_placeholders(body))


def _read_form(request: Request, body: bytes) -> dict[str, object]:
    if len(body) > FORM_BYTES:
        message = f"The form is larger than {FORM_BYTES} bytes, the limit"
        raise RequestEntityTooLarge(message)
    check_encoding("form", body)
    return {name: texts[0] if len(texts) == 1 else texts for name, texts in request.form.lists()}


def _quote_placeholders(body: bytes) -> bytes:
    """Make a text of each placeholder outside of texts, as in ``"price": {{close}}``: its field can then be named."""
    if b"{{" not in body:
        return body
    text = body.decode(errors="surrogateescape")
    quoted = _BARE.sub(lambda found: json.dumps(found[1], ensure_ascii=False) if found[1] else found[0], text)
    return quoted.encode(errors="surrogateescape")

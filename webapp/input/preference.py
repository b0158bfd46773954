"""The Prefer header (RFC 7240): whether a client wants the trades themselves in the answer."""

from typing import Final

from flask import request

RETURNED: Final = "return=representation"


def is_representation_preferred() -> bool:
    """Return whether this request asks for what was accepted in its answer."""
    return RETURNED in request.headers.get("Prefer", "").replace(" ", "").lower().split(",")

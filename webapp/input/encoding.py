"""Percent-encoded text: queries and forms, which must be UTF-8."""

from urllib.parse import unquote_to_bytes

from werkzeug.exceptions import BadRequest


def check_encoding(what: str, encoded: bytes) -> None:
    """Check that percent-encoded text is UTF-8: werkzeug would keep other bytes as their escapes. Raises BadRequest."""
    try:
        unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError as error:
        message = f"The {what} is not UTF-8 at byte {error.start} of its decoded text"
        raise BadRequest(message) from error

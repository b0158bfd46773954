"""Compressed bodies: gzip, decompressed up to a limit, whatever its header promises."""

import zlib
from collections.abc import Iterator

from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from common.display import shorten

_GZIP = 16 + zlib.MAX_WBITS
_STEP = 64 * 1024


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Decompress a body of a Content-Encoding, to at most ``limit`` bytes.

    Raises UnsupportedMediaType for an encoding other than gzip, BadRequest for broken gzip, and RequestEntityTooLarge.
    """
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            return b"".join(_read_members(body, limit))
    raise UnsupportedMediaType(f"Content-Encoding is {shorten(encoding)}; expected gzip, or none")


def _read_members(body: bytes, limit: int) -> Iterator[bytes]:
    # A gzip file may have several members, one after the other.
    while body:
        member = zlib.decompressobj(_GZIP)
        try:
            while not member.eof:
                part = member.decompress(body, _STEP)
                body = member.unconsumed_tail or member.unused_data
                limit -= len(part)
                if limit < 0:
                    raise RequestEntityTooLarge
                yield part
                if not member.eof and not part and not body:
                    message = "The gzip body ends too early"
                    raise BadRequest(message)
        except zlib.error as error:
            message = f"The body is not gzip: {str(error).partition(': ')[2] or error}"
            raise BadRequest(message) from error

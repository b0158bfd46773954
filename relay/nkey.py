"""An NKey: a user of NATS signs what the server sends with an Ed25519 key, and never shows its seed.

The package that is usual for it has no wheel, which the image needs; the format is a prefix, the key and a checksum.
"""

import base64
import binascii
from typing import Final, Self

from nacl.signing import SigningKey

_SEED: Final = 18 << 3
_USER: Final = 20 << 3
_KEY_BYTES: Final = 32


class Nkey:
    """The key of a user."""

    def __init__(self, key: SigningKey) -> None:
        """Keep the key."""
        self._key = key

    @classmethod
    def read(cls, seed: str) -> Self:
        """Read a seed like SU…. Raises ValueError, which does not show it."""
        try:
            raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
        except binascii.Error:
            raw = b""
        body = raw[:-2]
        if len(body) != 2 + _KEY_BYTES or _check(body) != raw[-2:] or body[:2] != _PREFIX:
            message = "no seed of a user's key"
            raise ValueError(message)
        return cls(SigningKey(body[2:]))

    @property
    def public(self) -> str:
        """The public half, by which the server knows the user."""
        return _encode(bytes([_USER]) + bytes(self._key.verify_key))

    def write_seed(self) -> str:
        """Write the seed."""
        return _encode(_PREFIX + bytes(self._key))

    def sign(self, nonce: str) -> bytes:
        """Sign what the server sent, in base64."""
        return base64.b64encode(self._key.sign(nonce.encode()).signature)


# The kind of key is in the five bits that follow those of a seed.
_PREFIX: Final = bytes([_SEED | _USER >> 5, (_USER & 31) << 3])


def _encode(body: bytes) -> str:
    return base64.b32encode(body + _check(body)).decode().rstrip("=")


def _check(body: bytes) -> bytes:
    return binascii.crc_hqx(body, 0).to_bytes(2, "little")

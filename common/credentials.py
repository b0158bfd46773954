"""Credentials: the text of a token, and what tokens and users are and may do."""

import hashlib
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field
from typing import Final, Literal

from common.timestamps import Timestamp

READ: Final = "trade:read"
WRITE: Final = "trade:write"
HOOK: Final = "hook"
SESSION: Final = "session"
"""What only a user has, and no token is made for: a session to sign out of."""

SCOPES: Final = (READ, WRITE, HOOK)
"""What a token may be made for; none includes another."""

ROLES: Final = {"viewer": frozenset({READ, SESSION}), "trader": frozenset({READ, WRITE, SESSION})}
"""What the users of each role may do."""

FIRST_TOKEN: Final = ".venv/bin/flask --app webapp tokens create NAME --scope trade:write"  # noqa: S105 - a command
"""The command that makes the first credential, for messages."""

_PREFIX: Final = "tt_"
_RANDOM: Final = 32
_CHECKSUM: Final = 6
_DIGITS: Final = string.digits + string.ascii_letters
_TOKEN: Final = re.compile(rf"{_PREFIX}[0-9A-Za-z]{{{_RANDOM + _CHECKSUM}}}")


@dataclass(frozen=True)
class Token:
    """A token of the journal; ``hash`` is the SHA-256 of its text, which is stored nowhere."""

    id: int
    name: str
    hash: bytes = field(repr=False)
    scopes: frozenset[str]
    created_at: Timestamp
    expires_at: Timestamp | None
    revoked_at: Timestamp | None
    last_used_at: Timestamp | None

    def find_end(self, now: Timestamp) -> Literal["revoked", "expired"] | None:
        """Return why the token is no longer valid, None while it is."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else None


@dataclass(frozen=True)
class User:
    """A user of the journal; sessions of an earlier ``session_version`` have ended."""

    id: int
    name: str
    role: str
    password_hash: str = field(repr=False)
    session_version: int
    created_at: Timestamp
    removed_at: Timestamp | None


def make_token() -> str:
    """Make the text of a new token: a prefix by which scanners find it, 190 random bits, and a checksum of both."""
    body = _PREFIX + "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM))
    return body + _sum_up(body)


def is_token(text: str) -> bool:
    """Return whether a text can be a token, by its form and its checksum."""
    return _TOKEN.fullmatch(text) is not None and _sum_up(text[:-_CHECKSUM]) == text[-_CHECKSUM:]


def hash_token(text: str) -> bytes:
    """Return the hash of a token: a fast one is enough, since no token can be guessed."""
    return hashlib.sha256(text.encode()).digest()


def _sum_up(body: str) -> str:
    rest, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM):
        rest, digit = divmod(rest, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits

"""Passwords: argon2id, with the parameters that OWASP's cheat sheet recommends at least."""

from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

LENGTH_MIN: Final = 12
LENGTH_MAX: Final = 256
"""In characters; a longer text is no password."""

# About 50 ms of a core and 19 MiB: a stolen journal gives away no good password, and guesses hardly delay trades.
_hasher: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)

NO_HASH: Final = "$argon2id$v=19$m=19456,t=2,p=1$MDAwMDAwMDAwMDAwMDAwMA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
"""A hash of no password: a name that no user has takes as long as a wrong password."""


def hash_password(password: str) -> str:
    """Hash a password."""
    return _hasher.hash(password)


def is_password(password: str, hashed: str) -> bool:
    """Return whether this is the password of a hash; takes as long as hashing."""
    try:
        return _hasher.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False

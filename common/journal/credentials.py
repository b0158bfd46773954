"""Tokens and users in the journal; their rows are never deleted, so a journal that once had one is locked for good."""

import json
from collections.abc import Collection
from typing import Final, NamedTuple

from common.credentials import Token, User
from common.journal.store import Journal
from common.timestamps import Timestamp

_TOKENS: Final = (
    "SELECT id, name, hash, scopes, created_at, expires_at, revoked_at, last_used_at FROM tokens ORDER BY id"
)
_USERS: Final = "SELECT id, name, role, password_hash, session_version, created_at, removed_at FROM users ORDER BY id"


class Term(NamedTuple):
    """From when until when a token is valid; None: until it is revoked."""

    created_at: Timestamp
    expires_at: Timestamp | None


def list_tokens(journal: Journal) -> list[Token]:
    """List all tokens, those that are no longer valid too. Raises JournalError."""
    return [
        Token(number, name, digest, frozenset(scopes.split()), *times)
        for number, name, digest, scopes, *times in journal.query(_TOKENS)
    ]


def list_users(journal: Journal) -> list[User]:
    """List all users, removed ones too. Raises JournalError."""
    return [User(*row) for row in journal.query(_USERS)]


def has_credentials(journal: Journal) -> bool:
    """Return whether a token or a user was ever made. Raises JournalError."""
    return bool(journal.query("SELECT 1 FROM tokens UNION ALL SELECT 1 FROM users LIMIT 1"))


def add_token(journal: Journal, name: str, digest: bytes, scopes: Collection[str], term: Term) -> bool:
    """Add a token, and return whether its name was free. Raises JournalError."""
    query = (
        "INSERT INTO tokens (name, hash, scopes, created_at, expires_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (name) DO NOTHING RETURNING id"
    )
    return bool(journal.change(query, name, digest, " ".join(sorted(scopes)), *term))


def rotate_token(journal: Journal, name: str, digest: bytes, term: Term) -> bool:
    """Give a token another text; its id stays, and with it its keys. Return whether there is one that is not revoked.

    Raises JournalError.
    """
    query = (
        "UPDATE tokens SET hash = ?, created_at = ?, expires_at = ?, last_used_at = NULL"
        " WHERE name = ? AND revoked_at IS NULL RETURNING id"
    )
    return bool(journal.change(query, digest, *term, name))


def revoke_token(journal: Journal, name: str, now: Timestamp) -> bool:
    """Revoke a token for good, and return whether there is one that was not revoked. Raises JournalError."""
    query = "UPDATE tokens SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL RETURNING id"
    return bool(journal.change(query, now, name))


def note_uses(journal: Journal, ids: Collection[int], now: Timestamp, unless_after: Timestamp) -> None:
    """Note when tokens were last used, unless another worker did so after ``unless_after``. Raises JournalError."""
    query = (
        "UPDATE tokens SET last_used_at = ? WHERE id IN (SELECT value FROM json_each(?))"
        " AND (last_used_at IS NULL OR last_used_at < ?)"
    )
    journal.change(query, now, json.dumps(list(ids)), unless_after)

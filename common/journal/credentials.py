"""Tokens and users in the journal; their rows are never deleted, so a journal that once had one is locked for good."""

import json
from collections.abc import Collection
from typing import Final, NamedTuple

from common.credentials import Token, User
from common.journal.schema import HAS_CREDENTIALS
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
    return bool(journal.query(HAS_CREDENTIALS))


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


def add_user(journal: Journal, name: str, role: str, password_hash: str, now: Timestamp) -> bool:
    """Add a user, or one that was removed again, and return whether the name was free. Raises JournalError."""
    query = (
        "INSERT INTO users (name, role, password_hash, created_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET role = excluded.role, password_hash = excluded.password_hash,"
        " created_at = excluded.created_at, removed_at = NULL, session_version = session_version + 1"
        " WHERE removed_at IS NOT NULL RETURNING id"
    )
    return bool(journal.change(query, name, role, password_hash, now))


def set_password(journal: Journal, name: str, password_hash: str) -> bool:
    """Set a user's password and end the sessions; return whether there is the user. Raises JournalError."""
    query = (
        "UPDATE users SET password_hash = ?, session_version = session_version + 1"
        " WHERE name = ? AND removed_at IS NULL RETURNING id"
    )
    return bool(journal.change(query, password_hash, name))


def remove_user(journal: Journal, name: str, now: Timestamp) -> bool:
    """Remove a user and end the sessions; return whether there was the user. Raises JournalError."""
    query = (
        "UPDATE users SET removed_at = ?, session_version = session_version + 1"
        " WHERE name = ? AND removed_at IS NULL RETURNING id"
    )
    return bool(journal.change(query, now, name))


def end_sessions(journal: Journal, name: str) -> None:
    """End all sessions of a user. Raises JournalError."""
    journal.change("UPDATE users SET session_version = session_version + 1 WHERE name = ?", name)

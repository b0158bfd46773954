"""The journal's schema, version by version: a new journal takes every step, an older one those that it lacks."""

from typing import Final

APPLICATION_ID: Final = 0x54415045
"""Marks a SQLite file as a journal."""

FILE_PRAGMAS: Final = f"""
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
PRAGMA application_id = {APPLICATION_ID};
"""

# Journals keep these names: ``origin`` is the journal_id, ``base`` the checkpoint, ``room`` the probe of writability,
# ``facts`` what release 0.1.0 kept of workers that had ended; no later version reads or writes it.
_VERSION_1 = """
CREATE TABLE journal (origin TEXT NOT NULL, base BLOB, room BLOB);
CREATE TABLE trades (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    accepted_at TEXT NOT NULL,
    ts TEXT NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    price TEXT NOT NULL,
    qty TEXT NOT NULL
);
CREATE INDEX trades_symbol ON trades (symbol);
CREATE TABLE keys (
    client TEXT NOT NULL,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    seq INTEGER NOT NULL,
    used_at TEXT NOT NULL,
    PRIMARY KEY (client, name)
) WITHOUT ROWID;
CREATE INDEX keys_used_at ON keys (used_at);
CREATE TABLE facts (worker TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
"""

# Additive, and without reading the rows of ``trades``: its time must not grow with the journal.
_VERSION_2 = """
ALTER TABLE trades ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE trades ADD COLUMN ref TEXT;
ALTER TABLE trades ADD COLUMN fee TEXT;
ALTER TABLE journal ADD COLUMN public_key TEXT;
ALTER TABLE journal ADD COLUMN secret_key TEXT;
ALTER TABLE journal ADD COLUMN pruned_seq INTEGER NOT NULL DEFAULT 0;
UPDATE journal SET pruned_seq = coalesce(
    CASE WHEN json_valid(CAST(base AS TEXT)) THEN json_extract(CAST(base AS TEXT), '$.last_seq') END, 0);
CREATE TABLE row_keys (
    seq INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    digest BLOB NOT NULL,
    UNIQUE (owner, name)
);
CREATE TABLE request_keys (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    digest BLOB NOT NULL,
    last_seq INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    PRIMARY KEY (owner, name)
) WITHOUT ROWID;
CREATE INDEX request_keys_last_seq ON request_keys (last_seq);
CREATE TABLE tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    hash BLOB NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT,
    revoked_at TEXT,
    last_used_at TEXT
);
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    session_version INTEGER NOT NULL DEFAULT 1,
    created_at TEXT NOT NULL,
    removed_at TEXT
);
"""

# Most trades come without a time of their own, and happened when they were accepted: their rows keep that time once.
# An earlier program cannot insert. Without reading the rows, too.
_VERSION_3 = """
ALTER TABLE trades RENAME COLUMN ts TO own_ts;
ALTER TABLE trades ADD COLUMN ts TEXT AS (CASE own_ts WHEN '' THEN accepted_at ELSE own_ts END);
"""

_STEPS = (_VERSION_1, _VERSION_2, _VERSION_3)

SCHEMA_VERSION: Final = len(_STEPS)

HAS_CREDENTIALS: Final = "SELECT 1 FROM tokens UNION ALL SELECT 1 FROM users LIMIT 1"


def list_statements(version: int) -> list[str]:
    """List the statements that bring a journal of this version (0: an empty file) to SCHEMA_VERSION."""
    statements = [each for step in _STEPS[version:] for each in step.split(";") if each.strip()]
    return [*statements, f"PRAGMA user_version = {SCHEMA_VERSION}"]

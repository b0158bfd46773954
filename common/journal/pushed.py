"""The pushed mark: up to which seq a host's trades are in a stream, so that retention keeps those that are not.

It is a floor for retention only. Where a pusher goes on is what the stream itself says (docs/decisions/0084).
"""

from common.journal.file import Database


def note(db: Database, journal_id: str, seq: int) -> None:
    """Write the mark of a journal, in the caller's transaction."""
    # A program that does not know the table may ignore it, so it needs no schema version.
    db.execute("CREATE TABLE IF NOT EXISTS pushed (journal_id TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID")
    db.execute("INSERT OR REPLACE INTO pushed VALUES (?, ?)", (journal_id, seq))


def read(db: Database, journal_id: str) -> int:
    """Read the mark of a journal, 0 when there is none: a copy that was restored has that of the original only."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'pushed'").fetchone() is None:
        return 0
    found = db.execute("SELECT seq FROM pushed WHERE journal_id = ?", (journal_id,)).fetchone()
    return found[0] if found else 0

"""Keys: clients' names for trades and for requests. A key lives as long as its trade is in the journal."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from common.journal.file import Database
from common.journal.inserting import insert_columns

SERVER: Final = ""
"""The owner of the keys of trades that come without a token and without a source."""

_DIGEST_BYTES: Final = 16
"""Bytes of a digest that are stored: enough that two trades of one owner do not collide by chance."""

_FIND_LIMIT: Final = 500
"""Keys in one query."""

_FORGET_LIMIT: Final = 1000

# There is no index by name, and a migration may not take the time to build one: each client is looked up.
_FIND_VERSION_1: Final = """
WITH RECURSIVE clients (client) AS (
    SELECT min(client) FROM keys
    UNION ALL
    SELECT (SELECT min(client) FROM keys WHERE client > clients.client) FROM clients WHERE client IS NOT NULL
)
SELECT payload, seq FROM clients CROSS JOIN keys USING (client)
WHERE name = ? AND seq IN (SELECT seq FROM trades) ORDER BY seq
"""

# The oldest keys are those of the trades that are pruned first, so a few rows are enough.
_FORGET_VERSION_1: Final = f"""
DELETE FROM keys WHERE (client, name) IN (
    SELECT client, name FROM (SELECT client, name, seq FROM keys ORDER BY used_at LIMIT {_FORGET_LIMIT}) WHERE seq <= ?
)
"""  # noqa: S608 - the limit is a constant


class Key(Struct, frozen=True, gc=False):
    """A name that its owner gives to one trade or one request; ``digest`` is the SHA-256 of the fields.

    The same name of the same owner with the same digest is the same trade, once. The owner is ``token:<id>``, else
    ``source:<source>``, else SERVER.
    """

    owner: str
    name: str
    digest: bytes


class RowUse(NamedTuple):
    """An earlier use of a trade's key: whether its fields were the same, and the seq of its trade."""

    same: bool
    seq: int


class RequestUse(NamedTuple):
    """An earlier use of a request's key; the trades that it wrote end at ``last_seq``."""

    same: bool
    last_seq: int
    accepted: int
    duplicates: int


def find_rows(db: Database, wanted: Collection[Key], others: Collection[Key] = ()) -> dict[tuple[str, str], RowUse]:
    """Find the earlier uses of trades' keys, by owner and name; those of version 1 whatever their address was.

    ``others`` are keys that version 1 did not have.
    """
    found: dict[tuple[str, str], RowUse] = {}
    by_owner: dict[str, dict[str, bytes]] = defaultdict(dict)
    for key in (*wanted, *others):
        by_owner[key.owner].setdefault(key.name, key.digest)
    for owner, digests in by_owner.items():
        every = list(digests)
        for start in range(0, len(every), _FIND_LIMIT):
            names = every[start : start + _FIND_LIMIT]
            marks = ", ".join("?" * len(names))
            query = f"SELECT name, digest, seq FROM row_keys WHERE owner = ? AND name IN ({marks})"  # noqa: S608 - marks only
            for name, digest, seq in db.execute(query, (owner, *names)):
                found[owner, name] = RowUse(digest == digests[name][:_DIGEST_BYTES], seq)
    # Most journals never had such a key, and the search costs ten times the query above.
    old = [key for key in wanted if (key.owner, key.name) not in found]
    if old and db.execute("SELECT 1 FROM keys LIMIT 1").fetchone() is not None:
        for key in old:
            if (use := _find_version_1(db, key)) is not None:
                found[key.owner, key.name] = use
    return found


def _find_version_1(db: Database, key: Key) -> RowUse | None:
    uses = [RowUse(payload == key.digest.hex(), seq) for payload, seq in db.execute(_FIND_VERSION_1, (key.name,))]
    # Keys of version 1 had no such owner: those of a source or a token are others, unless the fields are the same.
    return next((use for use in uses if use.same), uses[0] if uses and key.owner == SERVER else None)


def add_rows(db: Database, used: Sequence[tuple[int, Key]]) -> None:
    """Keep the keys of trades, each with the seq of its trade."""
    columns: dict[str, Sequence[object]] = {
        "seq": [seq for seq, _ in used],
        "owner": [key.owner for _, key in used],
        "name": [key.name for _, key in used],
        "digest": [bytearray(key.digest[:_DIGEST_BYTES]) for _, key in used],
    }
    insert_columns(db, "row_keys", columns)


def find_request(db: Database, key: Key) -> RequestUse | None:
    """Find the earlier use of a request's key."""
    query = "SELECT digest, last_seq, accepted, duplicates FROM request_keys WHERE owner = ? AND name = ?"
    used = db.execute(query, (key.owner, key.name)).fetchone()
    return used and RequestUse(used[0] == key.digest[:_DIGEST_BYTES], *used[1:])


def add_request(db: Database, key: Key, last_seq: int, accepted: int, duplicates: int) -> None:
    """Keep the key of a request; ``last_seq`` is its newest trade, or the journal's newest when it wrote none."""
    row = (key.owner, key.name, key.digest[:_DIGEST_BYTES], last_seq, accepted, duplicates)
    db.execute("INSERT INTO request_keys VALUES (?, ?, ?, ?, ?, ?)", row)


def forget(db: Database, seq: int) -> None:
    """Delete the keys of the trades up to ``seq``, which are being pruned."""
    db.execute("DELETE FROM row_keys WHERE seq <= ?", (seq,))
    db.execute("DELETE FROM request_keys WHERE last_seq <= ?", (seq,))
    db.execute(_FORGET_VERSION_1, (seq,))

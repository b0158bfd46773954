"""Migration of a journal from an earlier version to this one."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from common.errors import JournalError
from common.journal.file import Database, connect, journal_errors, read_version
from common.journal.holders import find_holders
from common.journal.schema import SCHEMA_VERSION, list_statements
from common.wire.transport import make_key_pair

FOLDER_SECONDS: Final = 10.0
FOLDER_PAUSE: Final = 0.02
TRIES: Final = 10
TRY_SECONDS: Final = 0.2


def migrate(path: Path) -> None:
    """Migrate an older journal to this program's version, in one transaction, with no other process connected.

    Raises JournalError when a process of the earlier version still has it open.
    """
    with _locked_folder(path.parent):
        with contextlib.closing(connect(path, TRY_SECONDS)) as db:
            if read_version(db, path) == SCHEMA_VERSION:
                return
        # An earlier program would go on writing by its own rules. Processes of this version only read the version and
        # close the file, so they no longer have it open at the next try.
        found = []
        for _ in range(TRIES):
            if _migrate_alone(path):
                return
            found.append(find_holders(path.with_name(f"{path.name}-shm")))
    who = ", ".join(map(str, sorted(set.intersection(*found)))) or "a process that cannot be seen from here"
    raise JournalError("in_use", f"journal {path} is of an earlier version and still open in {who}; stop it first")


def _migrate_alone(path: Path) -> bool:
    with contextlib.closing(connect(path, TRY_SECONDS)) as db:
        # In this mode SQLite grants the lock only while no other connection exists.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        try:
            with journal_errors(path):
                db.execute("BEGIN EXCLUSIVE")
        except JournalError as error:
            if error.reason == "locked":
                return False
            raise
        take_steps(db, read_version(db, path))
        db.execute("COMMIT")
    return True


@contextlib.contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    # Two processes that wait for SQLite's exclusive lock would block each other. This lock is not on the journal:
    # closing a second descriptor of that file would give up SQLite's own locks.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        until = time.monotonic() + FOLDER_SECONDS
        while not _try_lock(descriptor):
            if time.monotonic() > until:
                raise JournalError("locked", f"another process has been migrating in {folder} for {FOLDER_SECONDS} s")
            time.sleep(FOLDER_PAUSE)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def take_steps(db: Database, version: int) -> None:
    """Migrate a journal from ``version`` to SCHEMA_VERSION, in the caller's transaction."""
    if version == SCHEMA_VERSION:
        return
    for statement in list_statements(version):
        db.execute(statement)
    renew_key_pair(db)


def renew_key_pair(db: Database) -> None:
    """Give a journal a new key pair, in the caller's transaction."""
    pair = make_key_pair()
    db.execute("UPDATE journal SET public_key = ?, secret_key = ?", (pair.public, pair.secret))

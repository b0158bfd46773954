from functools import partial
from pathlib import Path

import pytest

from common.errors import JournalError
from common.journal.connection import Connection
from common.journal.store import Journal


def test_after_a_failure_the_next_call_opens_the_repaired_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    connection = Connection(partial(Journal, path))
    path.write_bytes(b"garbage" * 100)
    with pytest.raises(JournalError):
        connection.ask(Journal.last_seq)
    path.unlink()
    assert connection.ask(Journal.last_seq) == 0
    connection.close()
    connection.close()

import random
from pathlib import Path
from unittest import mock

import pytest

from common.event import SIDES
from common.journal.batches import group, read_batches
from common.journal.store import Journal
from tests.conftest import append, make_event


@pytest.mark.parametrize(("after", "limit"), [(0, 300), (0, 7), (120, 50), (290, 50), (300, 10)])
def test_batches_read_from_the_journal_are_those_of_its_events(tmp_path: Path, after: int, limit: int) -> None:
    chance = random.Random(11)
    events = [
        make_event(
            0,
            symbol=f"S{chance.randrange(5)}",
            side=chance.choice(SIDES),
            source=chance.choice(["", "", "bot-1"]),
            price=f"{chance.randrange(99)}.{chance.randrange(99)}",
            qty=str(chance.randrange(1, 99)),
            accepted_at=f"2026-01-31T10:00:00.{number:06}Z",
            # In any order, and often the same.
            ts=f"2026-01-31T09:00:0{chance.randrange(4)}.000000Z",
        )
        for number in range(300)
    ]
    with Journal(tmp_path / "journal.db") as journal:
        append(journal, events)
        # Pruned trades leave a gap, which must not end the read.
        journal.prune(130, b"")
        expected = group(journal.read_after(after, limit))
        assert read_batches(journal, after, limit) == expected
        assert sum(len(each.prices) for each in expected) == min(limit, 300 - max(after, 130))
        until = journal.read_after(after, limit)[-1].seq - 3 if expected else after
        expected = group([event for event in journal.read_after(after, limit) if event.seq <= until])
        assert read_batches(journal, after, limit, until) == expected


def test_texts_that_sqlite_joined_in_another_order_are_sorted_by_seq() -> None:
    early, late = "2026-01-31T09:00:00.000000Z", "2026-01-31T09:00:01.000000Z"
    row = ("A", "BUY", "", "3 1 2", "30 10 20", "9,2,5", None, f"{late} {early} {late}", early)
    journal = mock.create_autospec(Journal, instance=True)
    journal.query.return_value = [row]
    (batch,) = read_batches(journal, 0, 9)
    assert (batch.prices, batch.quantities, batch.seqs) == (["1", "2", "3"], ["10", "20", "30"], [2, 5, 9])
    assert (batch.last_seq, batch.newest_seq, batch.newest_ts, batch.newest_price) == (9, 9, late, "3")

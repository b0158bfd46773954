import random
from pathlib import Path

import pytest

from common.event import SIDES
from common.journal.batches import Batch, group, read_batches
from common.journal.store import Journal
from tests.conftest import append, make_event


def in_order(batches: list[Batch]) -> list[Batch]:
    """Sort prices and quantities, whose order within a batch is not defined, as pairs."""
    pairs = [sorted(zip(each.prices, each.quantities, strict=True)) for each in batches]
    return [
        each._replace(prices=[price for price, _ in pair], quantities=[quantity for _, quantity in pair])
        for each, pair in zip(batches, pairs, strict=True)
    ]


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
        assert in_order(read_batches(journal, after, limit)) == in_order(expected)
        assert sum(len(each.prices) for each in expected) == min(limit, 300 - max(after, 130))
        until = journal.read_after(after, limit)[-1].seq - 3 if expected else after
        expected = group([event for event in journal.read_after(after, limit) if event.seq <= until])
        assert in_order(read_batches(journal, after, limit, until)) == in_order(expected)

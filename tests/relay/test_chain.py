"""How pages of a host continue what a hub has of it."""

import pytest
from msgspec import structs

from common.errors import RelayError
from common.event import Event
from common.journal.hub import Batch, Mark
from relay.chain import Page, find_start, follow
from tests.conftest import JOURNAL_ID, make_event


def make_page(*seqs: int, pruned_seq: int = 0) -> Page:
    return Page([make_event(seq) for seq in seqs], None, JOURNAL_ID, pruned_seq)


MARK = Mark(5, "id-5")


@pytest.mark.parametrize(
    ("mark", "page", "batch"),
    [
        (Mark(), make_page(), (0, [])),
        (Mark(), make_page(3, 4), (0, [3, 4])),
        (MARK, make_page(5), (4, [5])),
        (MARK, make_page(5, 9), (4, [5, 9])),
        (MARK, make_page(9, pruned_seq=5), (5, [9])),
        (MARK, make_page(pruned_seq=5), (5, [])),
        (MARK, make_page(5, 9, pruned_seq=7), (4, [5, 9])),
    ],
    ids=["empty", "the first", "no more", "more", "the mark is pruned", "all is pruned", "pruned after it was read"],
)
def test_a_page_continues_the_history(mark: Mark, page: Page, batch: tuple[int, list[int]]) -> None:
    after, seqs = batch
    assert follow(mark, page) == Batch(JOURNAL_ID, after, [make_event(seq) for seq in seqs])


def other(event: Event) -> Event:
    return structs.replace(event, id="other")


@pytest.mark.parametrize(
    ("mark", "page", "reason"),
    [
        (Mark(), make_page(9, pruned_seq=8), "pruned"),
        (MARK, make_page(9, pruned_seq=8), "pruned"),
        (MARK, make_page(pruned_seq=6), "pruned"),
        (MARK, make_page(), "conflict"),
        (MARK, make_page(9), "conflict"),
        (MARK, make_page(9, pruned_seq=4), "conflict"),
        (MARK, Page([other(make_event(5))], None, JOURNAL_ID, 0), "conflict"),
        (Mark(), Page([structs.replace(make_event(1), host_seq=1)], None, JOURNAL_ID, 0), "hub"),
    ],
    ids=["pruned before", "pruned", "all pruned", "older", "without the mark", "again", "another trade", "a hub"],
)
def test_a_page_that_does_not_is_an_error(mark: Mark, page: Page, reason: str) -> None:
    with pytest.raises(RelayError) as caught:
        follow(mark, page)
    assert caught.value.reason == reason


def test_the_trade_at_the_mark_is_asked_for_again() -> None:
    assert [find_start(mark) for mark in (Mark(), Mark(1, "a"), MARK)] == [0, 0, 4]

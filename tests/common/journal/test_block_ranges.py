from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common.event import SEQ_MAX
from common.journal import block_ranges
from common.journal.block_ranges import BlockRanges
from common.journal.store import Journal
from tests.conftest import append, make_event

BLOCK = block_ranges.BLOCK


def at_second(second: int) -> str:
    return f"2026-01-31T09:00:{second:02}.000000Z"


@hypothesis_settings(max_examples=40)
@given(st.lists(st.integers(0, 59), max_size=60), st.integers(0, 40), st.integers(0, 59), st.integers(0, 59))
def test_no_trade_of_a_window_is_outside_of_its_ranges(seconds: list[int], pruned: int, since: int, until: int) -> None:
    blocks = BlockRanges()
    with (
        mock.patch.object(block_ranges, "BLOCK", 4),
        TemporaryDirectory() as folder,
        Journal(Path(folder) / "journal.db", "normal") as journal,
    ):
        for part in (seconds[:25], seconds[25:]):
            append(journal, [make_event(0, accepted_at=at_second(second)) for n, second in enumerate(part)])
            while not blocks.step(journal):
                pass
            journal.prune(min(pruned, journal.last_seq()), b"{}")
        ranges = blocks.find(at_second(since), at_second(until))
        inside = [
            event.seq for event in journal.read_after(0) if at_second(since) <= event.accepted_at <= at_second(until)
        ]
        assert all(any(first <= seq <= last for first, last in ranges) for seq in inside)
        assert ranges == sorted(ranges)


def test_the_ranges_of_another_journal_are_read_again(tmp_path: Path) -> None:
    blocks = BlockRanges()
    for name, second in (("a", 1), ("b", 50)):
        with Journal(tmp_path / name, "normal") as journal:
            append(journal, [make_event(0, accepted_at=at_second(second)) for n in range(BLOCK + 1)])
            while not blocks.step(journal):
                pass
            assert blocks.find(at_second(second), at_second(second)) == [(1, SEQ_MAX)]
            assert blocks.find(at_second(20), at_second(30)) == [(BLOCK + 1, SEQ_MAX)]


def test_the_ranges_of_a_journal_that_was_opened_again_are_those_of_the_file_that_is_there_now(tmp_path: Path) -> None:
    blocks = BlockRanges()
    with Journal(tmp_path / "journal.db", "normal") as journal:
        for second in (1, 50):
            append(journal, [make_event(0, accepted_at=at_second(second)) for n in range(BLOCK + 1)])
            while not blocks.step(journal):
                pass
            assert blocks.find(at_second(second), at_second(second)) == [(1, SEQ_MAX)]
            journal.close()
            for file in tmp_path.iterdir():
                file.unlink()

"""A pusher that is asked to go back: what retention must keep, and what can no longer be sent."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from common.errors import JournalError
from common.journal.store import Journal
from common.settings import Settings
from relay.broker import Broker
from relay.journal_executor import JournalExecutor
from relay.message import decode, encode_seq
from relay.pusher import Pusher
from relay.stream_reader import Stored
from relay.stream_status import StreamStatus
from tests.conftest import append, make_trade


class Stream:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.stored: list[Stored] = []

    async def find_last(self, _: str) -> Stored | None:
        return self.stored[-1] if self.stored else None

    async def publish(self, subject: str, body: bytes, last_seq: int) -> int:
        assert last_seq == len(self.stored)
        self.stored.append(Stored(last_seq + 1, subject, body))
        return last_seq + 1

    async def listen(self, _: str, take: Callable[[bytes], None]) -> None:
        self.ask = take

    def check(self) -> None:
        pass

    def list_seqs(self) -> list[list[int]]:
        return [[event.seq for event in decode(each.subject, each.body).events] for each in self.stored]


class End(Exception):  # noqa: N818 - it is no error
    pass


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "host.db", "normal") as journal:
        append(journal, [make_trade() for _ in range(5)])
        yield journal


def watch_floors(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    floors: list[int] = []
    note = journal.note_pushed

    def watch(seq: int) -> None:
        floors.append(seq)
        note(seq)

    monkeypatch.setattr(journal, "note_pushed", watch)
    return floors


def push(journal: Journal, ask: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Stream, StreamStatus]:
    """Push all, ask to go back to a seq, push what follows from that, and return what was stored."""
    stream, status = Stream(), StreamStatus("push", "a")
    broker = cast("Broker", stream)

    async def run(pusher: Pusher) -> None:
        pauses = 0

        async def pause(_: float) -> None:
            nonlocal pauses
            pauses += 1
            if pauses > 1:
                raise End
            stream.ask(encode_seq(ask))

        patched.setattr(asyncio, "sleep", pause)
        with pytest.raises(End):
            await pusher.run(broker)

    with JournalExecutor() as executor, monkeypatch.context() as patched:
        asyncio.run(run(Pusher(journal, executor, status, Settings(journal_path=journal.path))))
    return stream, status


def test_what_is_sent_again_is_kept_and_what_follows_is_sent(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    floors = watch_floors(journal, monkeypatch)
    stream, status = push(journal, 2, monkeypatch)
    assert stream.list_seqs() == [[1, 2, 3, 4, 5], [3, 4, 5]]
    assert floors[:2] == [5, 2]
    assert status.find(journal.journal_id).rewinds == 1


def test_retention_is_told_before_what_it_has_deleted_is_read(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    floors, find = watch_floors(journal, monkeypatch), journal.pruned_seq

    def prune() -> int:
        if floors[-1:] == [2]:
            journal.prune(4, b"{}")
        return find()

    monkeypatch.setattr(journal, "pruned_seq", prune)
    stream, status = push(journal, 2, monkeypatch)
    assert stream.list_seqs() == [[1, 2, 3, 4, 5]]
    assert floors == [5, 2, 5]
    assert status.errors["pruned"] == 1


def test_what_is_deleted_while_going_back_is_reported_and_the_pusher_goes_on_at_the_end(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    floors, read = watch_floors(journal, monkeypatch), journal.read_after

    def prune(after: int, limit: int) -> list[object]:
        if floors[-1:] == [2]:
            journal.prune(4, b"{}")
            floors.append(-1)
        return list(read(after, limit))

    monkeypatch.setattr(journal, "read_after", prune)
    stream, status = push(journal, 2, monkeypatch)
    assert stream.list_seqs() == [[1, 2, 3, 4, 5]]
    assert (status.errors["pruned"], status.wrong) == (1, None)


def test_a_floor_that_could_not_be_written_is_written_later(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    now, status, broker = 0.0, StreamStatus("push", "a"), cast("Broker", Stream())

    def fail(_: int) -> None:
        raise JournalError("full", "no room")

    with JournalExecutor() as executor:
        pusher = Pusher(journal, executor, status, Settings(journal_path=journal.path), clock=lambda: now)
        with monkeypatch.context() as patched:
            patched.setattr(journal, "note_pushed", fail)
            assert asyncio.run(pusher.step(broker))
        assert (journal.read_pushed(), status.errors["journal"]) == (0, 1)
        # A heartbeat.
        now = 100.0
        asyncio.run(pusher.step(broker))
    assert journal.read_pushed() == 5


def test_a_journal_without_trades_lowers_the_floor_to_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "host.db", "normal") as journal, JournalExecutor() as executor:
        journal.note_pushed(7)
        pusher = Pusher(journal, executor, StreamStatus("push", "a"), Settings(journal_path=journal.path))
        asyncio.run(pusher.step(cast("Broker", Stream())))
        assert journal.read_pushed() == 0

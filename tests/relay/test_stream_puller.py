"""A puller of a stream that is another one than before."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from common.journal.hub import Batch
from common.journal.store import Journal
from common.settings import Settings
from relay.broker import Broker, StreamState
from relay.hub import Hub
from relay.journal_executor import JournalExecutor
from relay.message import encode
from relay.stream_puller import StreamPuller
from relay.stream_reader import Stored
from relay.stream_status import StreamStatus
from tests.conftest import JOURNAL_ID, make_event


class _End(Exception):  # noqa: N818 - it is no error
    pass


class Stream:
    """Carries messages, and then ends; keeps what hosts are told."""

    def __init__(self, created: str, found: Sequence[Stored]) -> None:
        self.created = created
        self.found = list(found)
        self.told: list[str] = []

    async def read_state(self) -> StreamState:
        return StreamState(self.created, self.found[-1].seq)

    async def read_from(self, _: int) -> "Stream":
        return self

    async def receive(self) -> list[Stored]:
        if not self.found:
            raise _End
        found, self.found = self.found, []
        return found

    async def publish_unstored(self, subject: str, _: bytes) -> None:
        self.told.append(subject)


@pytest.fixture
def puller(tmp_path: Path) -> Iterator[StreamPuller]:
    hub = Hub(Journal(tmp_path / "hub.db", "normal")).adopt()
    with JournalExecutor() as executor:
        yield StreamPuller(hub, executor, StreamStatus("pull", "a"), Settings())
    hub.close()


def read(puller: StreamPuller, stream: Stream) -> list[str]:
    with pytest.raises(_End):
        asyncio.run(puller.run(cast("Broker", stream)))
    return stream.told


def test_what_was_asked_over_an_old_stream_does_not_keep_from_asking_over_a_new_one(puller: StreamPuller) -> None:
    gap, _ = encode(Batch(JOURNAL_ID, 4, [make_event(5)]))
    subject = f"trades.{JOURNAL_ID}"
    asked = [f"rewind.{JOURNAL_ID}"]
    assert read(puller, Stream("2026-01-01", [Stored(1000, subject, gap)])) == asked
    assert read(puller, Stream("2026-01-01", [Stored(1000, subject, gap)])) == []
    assert read(puller, Stream("2026-01-02", [Stored(3, subject, gap)])) == asked

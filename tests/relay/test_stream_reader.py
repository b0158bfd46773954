"""A reader takes messages in the order of the stream, and says so when they are not."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from common.errors import RelayError
from relay import stream_reader
from relay.stream_reader import FETCH, Reader


def make_message(seq: int) -> Msg:
    reply = f"$JS.ACK.TRADES.name.1.{seq}.{seq}.1700000000000000000.3"
    return Msg(Client(), "trades.a", reply, f"{seq}".encode())


def make_status(status: str) -> Msg:
    return Msg(Client(), "_INBOX.a", "", b"", {"Status": status, "Description": "Consumer Deleted"})


def read(start: int, work: Callable[[Reader], Awaitable[None]]) -> int:
    """Run work with a reader, and return how often it asked for messages."""
    asked = 0

    async def ask() -> None:
        nonlocal asked
        asked += 1

    async def run() -> None:
        await work(Reader(start, ask))

    asyncio.run(run())
    return asked


def test_messages_come_in_the_order_of_the_stream_and_more_are_asked_for_when_all_have_come() -> None:
    async def work(reader: Reader) -> None:
        # What is too old is gone: the first one may be any later one.
        await reader.take(make_message(7))
        found = await reader.receive()
        assert [(each.seq, each.subject, each.body, each.pending) for each in found] == [(7, "trades.a", b"7", 3)]
        for seq in range(8, 8 + FETCH):
            await reader.take(make_message(seq))
        assert [each.seq for each in await reader.receive()] == list(range(8, 8 + FETCH))
        await reader.take(make_status("100"))
        assert await reader.receive() == []

    assert read(5, work) == 2


@pytest.mark.parametrize("seqs", [[4], [5, 5], [5, 7], [5, 6, 5]], ids=["before", "twice", "a hole", "again"])
def test_another_order_ends_the_reader(seqs: list[int]) -> None:
    async def work(reader: Reader) -> None:
        for seq in seqs:
            await reader.take(make_message(seq))
        with pytest.raises(RelayError, match="of the stream came; expected"):
            await reader.receive()

    read(5, work)


def test_what_the_server_says_of_the_reader_ends_it_or_lets_it_ask_again() -> None:
    async def work(reader: Reader) -> None:
        await reader.take(make_message(1))
        await reader.receive()
        await reader.take(make_status("408"))
        assert await reader.receive() == []
        await reader.take(make_status("409"))
        with pytest.raises(RelayError, match="409 Consumer Deleted"):
            await reader.receive()

    assert read(1, work) == 2


def test_silence_ends_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(reader: Reader) -> None:
        with pytest.raises(RelayError, match="silence") as caught:
            await reader.receive()
        assert caught.value.reason == "timeout"

    with monkeypatch.context() as patched:
        patched.setattr(stream_reader, "SILENCE_SECONDS", 0.01)
        assert read(1, work) == 1

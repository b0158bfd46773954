"""The broker over a real server: what it answers, and which reason each refusal has."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.js.client import JetStreamContext

from common.errors import RelayError
from common.settings import Settings
from relay.access import name_inbox
from relay.broker import Broker, connect
from relay.setup import set_up
from relay.stream_reader import Stored
from tests.conftest import JOURNAL_ID
from tests.system.nats_server import HUB, Nats, make_host, may_all
from tests.system.stack import free_ports

SUBJECT = f"trades.{JOURNAL_ID}"

USERS = {"admin": may_all, "hub": HUB, "host": make_host(JOURNAL_ID)}


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    folder = tmp_path_factory.mktemp("nats")
    with Nats(folder, users=USERS) as nats:
        assert set_up(nats.make_settings(folder / "none.db", "admin")) == []
        yield nats


def use(settings: Settings, work: Callable[[Broker], Awaitable[object]]) -> object:
    async def run() -> object:
        async with connect(settings, "test") as broker:
            return await work(broker)

    return asyncio.run(run())


def fail(settings: Settings, work: Callable[[Broker], Awaitable[object]]) -> str:
    with pytest.raises(RelayError) as caught:
        use(settings, work)
    assert caught.value.detail
    return caught.value.reason


async def nothing(_: Broker) -> None:
    pass


def test_a_host_stores_its_batches_one_after_the_other_and_a_hub_reads_them(nats: Nats, tmp_path: Path) -> None:
    async def push(broker: Broker) -> list[int]:
        last = await broker.find_last(SUBJECT)
        seqs = [last.seq if last else 0]
        for body in (b"1", b"2"):
            seqs.append(await broker.publish(SUBJECT, body, seqs[-1]))
        found = await broker.find_last(SUBJECT)
        assert found is not None
        assert (found.seq, found.body) == (seqs[-1], b"2")
        with pytest.raises(RelayError) as caught:
            await broker.publish(SUBJECT, b"3", seqs[-2])
        assert caught.value.reason == "fenced"
        return seqs[1:]

    async def pull(broker: Broker) -> list[bytes]:
        state = await broker.read_state()
        reader = await broker.read_from(state.last_seq - 1)
        found: list[Stored] = []
        while len(found) < 2:
            found += await reader.receive()
        # A heartbeat.
        assert await reader.receive() == []
        assert [each.seq for each in found] == [state.last_seq - 1, state.last_seq]
        assert (found[-1].subject, found[-1].pending) == (SUBJECT, 0)
        return [each.body for each in found]

    use(nats.make_settings(tmp_path / "j", "host"), push)
    assert use(nats.make_settings(tmp_path / "j", "hub"), pull) == [b"1", b"2"]


def test_a_hub_tells_a_host(nats: Nats, tmp_path: Path) -> None:
    async def run() -> bytes:
        told: asyncio.Queue[bytes] = asyncio.Queue()
        host, hub = (nats.make_settings(tmp_path / "j", user) for user in ("host", "hub"))
        async with connect(host, "host") as listening, connect(hub, "hub") as sender:
            await listening.listen(f"rewind.{JOURNAL_ID}", told.put_nowait)
            # A request on the same connection is answered after it.
            await listening.find_last(SUBJECT)
            await sender.publish_unstored(f"rewind.{JOURNAL_ID}", b"7")
            return await asyncio.wait_for(told.get(), 60)

    assert asyncio.run(run()) == b"7"


def test_a_right_that_is_missing_is_no_time_out(nats: Nats, tmp_path: Path) -> None:
    host, hub = (nats.make_settings(tmp_path / "j", user) for user in ("host", "hub"))
    assert fail(host, lambda broker: broker.publish(f"trades.{'b' * 32}", b"", 0)) == "access"
    assert fail(host, lambda broker: broker.read_state()) == "access"
    assert fail(hub, lambda broker: broker.publish(SUBJECT, b"", 0)) == "access"

    async def listen(broker: Broker) -> None:
        await broker.listen(f"rewind.{'b' * 32}", print)
        await broker.find_last(SUBJECT)
        broker.check()

    assert fail(host, listen) == "access"


def test_the_answers_to_a_user_are_read_by_no_other(nats: Nats, tmp_path: Path) -> None:
    inboxes = {name: name_inbox(key.public) for name, key in nats.keys.items()}

    def read(subject: str) -> Callable[[Broker], Awaitable[None]]:
        async def listen(broker: Broker) -> None:
            await broker.listen(subject, print)
            # A request on the same connection is answered after it; a hub may not make this one.
            with contextlib.suppress(RelayError):
                await broker.find_last(SUBJECT)
            broker.check()

        return listen

    for user, other in (("host", "hub"), ("hub", "host"), ("host", "admin")):
        settings = nats.make_settings(tmp_path / "j", user)
        for subject in (f"{inboxes[other]}.>", "_INBOX.>", ">"):
            assert fail(settings, read(subject)) == "access"
    use(nats.make_settings(tmp_path / "j", "host"), read(f"{inboxes['host']}.more"))


def test_a_key_that_the_server_does_not_know_is_refused(nats: Nats, tmp_path: Path) -> None:
    other = Nats(tmp_path / "other", users={"host": may_all})
    settings = nats.make_settings(tmp_path / "j", "host", RELAY_NKEY_FILE=str(other.keys["host"].file))
    assert fail(settings, nothing) == "access"


def test_a_secret_that_is_missing_for_a_moment_is_no_access(tmp_path: Path) -> None:
    urls = {"RELAY_NATS_URL": "nats://127.0.0.1:1"}
    assert fail(Settings.from_env(urls | {"RELAY_NKEY_FILE": str(tmp_path / "gone")}), nothing) == "access"


def test_only_the_certificates_of_the_file_are_trusted(nats: Nats, tmp_path: Path) -> None:
    other = Nats(tmp_path / "other", users={"host": may_all})
    assert other.authority is not None
    settings = nats.make_settings(tmp_path / "j", "host", RELAY_CA_FILE=str(other.authority.file))
    assert fail(settings, nothing) == "tls"


def test_no_stream_and_no_server_have_reasons(nats: Nats, tmp_path: Path) -> None:
    settings = nats.make_settings(tmp_path / "j", "admin", RELAY_STREAM="OTHER")
    assert fail(settings, lambda broker: broker.find_last(SUBJECT)) == "stream"
    assert fail(settings, lambda broker: broker.publish(SUBJECT, b"", 0)) == "stream"
    assert fail(settings, lambda broker: broker.read_from(1)) == "stream"
    (port,) = free_ports(1)
    gone = Settings.from_env({"RELAY_NATS_URL": f"nats://127.0.0.1:{port}"})
    assert fail(gone, nothing) == "unreachable"


@pytest.mark.parametrize("line", [b"x" * 300_000, b"INFO []\r\n", b"INFO 5\r\n"], ids=["long", "a list", "a number"])
def test_a_peer_that_is_no_server_has_a_reason(line: bytes) -> None:
    async def run() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(line)
            await reader.read()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            settings = Settings.from_env({"RELAY_NATS_URL": f"nats://127.0.0.1:{port}"})
            with pytest.raises(RelayError) as caught:
                async with connect(settings, "test"):
                    pass
        assert caught.value.reason == "unreachable"

    asyncio.run(run())


def test_an_odd_answer_of_the_server_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(*_: object) -> None:
        raise KeyError("config")

    monkeypatch.setattr(JetStreamContext, "stream_info", answer)
    with pytest.raises(RelayError) as caught:
        asyncio.run(Broker(Client(), "TRADES").read_state())
    assert caught.value.reason == "broker"

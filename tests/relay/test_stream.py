"""What a stream may do, and what pusher and puller make of it: nothing lost, nothing twice, the order of the host."""

import asyncio
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import nats as client
import pytest
from nats.js.client import JetStreamContext

from common.errors import HubError, JournalError, RelayError
from common.journal.hub import Batch, Place
from common.journal.opening import back_up, restore
from common.journal.store import Journal
from common.settings import Settings
from relay.broker import connect
from relay.journal_executor import JournalExecutor
from relay.message import encode
from relay.pusher import Pusher
from relay.setup import set_up, write_config
from relay.stream_skip import skip_over_stream
from relay.stream_status import StreamStatus
from tests.conftest import make_event
from tests.relay.stream_parts import add, find_id, list_ids, pulling, pushing, wait_same
from tests.system.nats_server import Nats
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    with Nats(tmp_path_factory.mktemp("nats")) as server:
        yield server


def change(server: Nats, what: str, **options: object) -> None:
    """Do as an administrator does with other tools."""

    async def run() -> None:
        connection = await client.connect(server.url)
        stream: JetStreamContext = connection.jetstream()
        await getattr(stream, what)(**options)
        await connection.close()

    asyncio.run(run())


@pytest.fixture
def nats(server: Nats, tmp_path: Path) -> Iterator[Nats]:
    """Yield the server with a stream that is empty."""
    assert set_up(server.make_settings(tmp_path / "none")) == []
    yield server
    change(server, "delete_stream", name="TRADES")


@pytest.fixture
def host(nats: Nats, tmp_path: Path) -> Settings:
    add(tmp_path / "host.db", 5)
    return nats.make_settings(tmp_path / "host.db", RELAY_BATCH="2", RELAY_POLL="10", RELAY_HEARTBEAT="1")


@pytest.fixture
def hub(nats: Nats, tmp_path: Path) -> Settings:
    return nats.make_settings(tmp_path / "hub.db")


def test_setting_up_twice_changes_nothing_and_names_each_difference(nats: Nats, tmp_path: Path) -> None:
    other = nats.make_settings(tmp_path / "none", RELAY_MAX_AGE="1d", RELAY_MAX_BYTES="1MiB")
    lines = ["max_age is 604800.0; expected 86400", "max_bytes is 1073741824; expected 1048576"]
    assert set_up(other) == lines
    assert set_up(other) == lines
    assert set_up(nats.make_settings(tmp_path / "none")) == []
    with pulling(nats.make_settings(tmp_path / "hub.db", RELAY_MAX_AGE="1d")) as read:
        wait_for(lambda: read.differs, "the stream is reached")
        assert [name for name, other in read.differs.items() if other] == ["max_age"]


def test_trades_pass_and_are_counted(host: Settings, hub: Settings) -> None:
    journal_id = find_id(host.journal_path)
    with pushing(host) as sent, pulling(hub) as read:
        wait_same(host.journal_path, hub.journal_path)
        add(host.journal_path, 2)
        wait_same(host.journal_path, hub.journal_path)
        wait_for(lambda: sent.find(journal_id).events == 7, "the acknowledgement has come")
        wait_for(lambda: read.find(journal_id).events == 7, "they are counted")
        wait_for(lambda: sent.find(journal_id).last_seq == 7, "the mark is the acknowledged one")
        wait_for(lambda: (sent.describe(), read.describe()) == (None, None), "nothing is wrong")
        for status in (sent, read):
            own = status.find(journal_id)
            assert (own.last_seq, own.journal_last_seq, own.duplicates, own.rewinds, own.conflicts) == (7, 7, 0, 0, 0)
        before = read.find(journal_id).seen_at
        wait_for(lambda: read.find(journal_id).seen_at > before, "a heartbeat has arrived")
        wait_for(lambda: sum(sent.acks.buckets.values()) >= 5, "batches of two, and a heartbeat")
    with Journal(host.journal_path) as journal:
        assert 0 < journal.read_pushed() <= 7


def test_two_pushers_of_a_journal_make_one_chain(host: Settings, hub: Settings) -> None:
    journal_id = find_id(host.journal_path)
    with pushing(host) as first, pushing(host) as second, pulling(hub) as read:
        for _ in range(10):
            add(host.journal_path, 3)
        wait_same(host.journal_path, hub.journal_path)
        assert read.find(journal_id).wrong == ""
        wait_for(lambda: first.find(journal_id).fenced + second.find(journal_id).fenced, "one was fenced")


def test_a_stream_that_is_made_again_gets_everything_again(host: Settings, hub: Settings, nats: Nats) -> None:
    journal_id = find_id(host.journal_path)
    with pushing(host), pulling(hub) as read:
        wait_same(host.journal_path, hub.journal_path)
        change(nats, "delete_stream", name="TRADES")
        add(host.journal_path, 3)
        wait_for(lambda: read.wrong is not None, "the hub sees it")
        assert set_up(host) == []
        wait_same(host.journal_path, hub.journal_path)
        wait_for(lambda: read.find(journal_id).duplicates == 5, "what the hub had is dropped")


def test_a_server_that_has_lost_its_newest_messages_gets_them_again(host: Settings, tmp_path: Path) -> None:
    with Nats(tmp_path / "own") as own:
        (node,) = own.nodes
        url = {"RELAY_NATS_URL": own.url, "RELAY_TRANSPORT": "nats", "RELAY_REPLICAS": "1"}
        host = Settings.from_env(url | {"JOURNAL_PATH": str(host.journal_path), "RELAY_HEARTBEAT": "1"})
        hubs = [Settings.from_env(url | {"JOURNAL_PATH": str(tmp_path / name)}) for name in ("a.db", "b.db")]
        set_up(host)
        with pushing(host) as sent, pulling(hubs[0]):
            wait_same(host.journal_path, hubs[0].journal_path)
            node.end(signal.SIGTERM)
            shutil.copytree(node.folder / "store", tmp_path / "old")
            node.start()
            add(host.journal_path, 3)
            wait_same(host.journal_path, hubs[0].journal_path)
            wait_for(lambda: sent.describe() is None, "it is used again")
            node.end()
            shutil.rmtree(node.folder / "store")
            shutil.copytree(tmp_path / "old", node.folder / "store")
            node.start()
            add(host.journal_path, 1)
            wait_same(host.journal_path, hubs[0].journal_path)
            # One that had read nothing yet gets all from the stream.
            with pulling(hubs[1]):
                wait_same(host.journal_path, hubs[1].journal_path)


def test_a_gap_is_filled_by_the_host_and_others_go_on(
    host: Settings, hub: Settings, nats: Nats, tmp_path: Path
) -> None:
    add(tmp_path / "other.db", 3)
    other = nats.make_settings(tmp_path / "other.db")
    journal_id = find_id(host.journal_path)
    with pushing(host) as sent:
        wait_for(lambda: sent.find(journal_id).last_seq == 5, "all are in the stream")

    async def read_place() -> Place:
        async with connect(hub, "test") as broker:
            state = await broker.read_state()
            return Place("TRADES", state.created, state.last_seq)

    # As if those had been in the stream and were too old.
    with Journal(hub.journal_path) as journal:
        journal.adopt()
        journal.append_batches([], asyncio.run(read_place()))
    with pulling(hub) as read, pushing(host) as sent, pushing(other):
        wait_same(other.journal_path, hub.journal_path)
        wait_same(host.journal_path, hub.journal_path)
        assert read.find(journal_id).rewinds >= 1
        assert sent.find(journal_id).rewinds >= 1
        wait_for(lambda: read.describe() is None, "nothing is wrong any more")


def test_a_hub_that_asks_for_deleted_trades_is_told_apart(host: Settings, hub: Settings) -> None:
    journal_id = find_id(host.journal_path)
    with Journal(host.journal_path) as journal:
        journal.prune(3, b"{}")
    with pushing(host) as sent, pulling(hub) as read:
        wait_for(lambda: sent.errors["pruned"] > 0, "the host says so")
        gap = "a batch follows seq 3, the hub has those up to 0"
        wait_for(lambda: read.find(journal_id).wrong == gap, "a gap is shown")
        assert list_ids(hub.journal_path) == []
        for wrong in ((), (1, 3), (0,), (0, 0), (0, 2**63)):
            with pytest.raises(RelayError, match=r"(FROM|TO) is .*; expected"):
                skip_over_stream(hub, journal_id, *wrong)
        with pytest.raises(RelayError, match="no host of this hub"):
            skip_over_stream(hub, "b" * 32, 0, 3)
        said = skip_over_stream(hub, journal_id, 0, 3)
        assert said == f"Skipped seq 1 to 3 of {journal_id}: the hub will never have those trades."
        with Journal(host.journal_path) as journal:
            wait_for(lambda: list_ids(hub.journal_path) == [event.id for event in journal.read_after(3)], "it goes on")


def test_skipping_makes_no_journal_that_of_a_hub(tmp_path: Path) -> None:
    empty = Settings(journal_path=tmp_path / "empty.db")
    with pytest.raises(RelayError, match="no host of this hub; expected one of none"):
        skip_over_stream(empty, "b" * 32, 0, 3)
    with Journal(empty.journal_path) as journal:
        assert journal.list_hosts() is None


def test_a_pusher_whose_mark_was_deleted_ends_until_an_operator_skips(host: Settings, hub: Settings) -> None:
    journal_id = find_id(host.journal_path)
    with pushing(host) as sent, pulling(hub):
        wait_same(host.journal_path, hub.journal_path)
    add(host.journal_path, 3)
    with Journal(host.journal_path) as journal:
        journal.prune(7, b"{}")
    with pushing(host) as sent:
        said = "pruned: the trades up to seq 7 are deleted, only those up to 5 were read"
        wait_for(lambda: sent.describe() == said, "it ends")
    with pytest.raises(RelayError, match="expected"):
        skip_over_stream(host, "a" * 32)
    assert skip_over_stream(host, journal_id).startswith("The stream goes on after seq 7")
    with pushing(host) as sent:
        wait_for(lambda: sent.find(journal_id).last_seq == 8, "it goes on")
        assert sent.errors["pruned"] == 0


def test_a_full_stream_keeps_trades_in_the_journal_until_there_is_room(
    host: Settings, hub: Settings, nats: Nats, tmp_path: Path
) -> None:
    change(nats, "delete_stream", name="TRADES")
    small = nats.make_settings(tmp_path / "none", RELAY_MAX_BYTES="1MiB")
    assert set_up(small) == []
    add(host.journal_path, 6000)
    host = nats.make_settings(host.journal_path)
    journal_id = find_id(host.journal_path)
    with pushing(host) as sent, pulling(hub) as read:
        wait_for(lambda: sent.errors["full"] > 0, "there is no room")
        wait_for(lambda: read.find(journal_id).last_seq > 0, "some have arrived")
        own = sent.find(journal_id)
        wait_for(lambda: own.journal_last_seq == 6005, "what waits is measured")
        assert own.last_seq < 6005
        assert own.waiting_since > 0
        change(nats, "update_stream", name="TRADES", **write_config(host))
        wait_same(host.journal_path, hub.journal_path)
        wait_for(lambda: sent.describe() is None, "it is used")


def test_a_password_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.touch(0o600)

    def set_password(server: Nats, text: str) -> None:
        server.configure({}, f"authorization {{ user: relay, password: {text} }}")

    with Nats(tmp_path / "nats") as server:
        (node,) = server.nodes
        set_password(server, "first-password-of-it")
        node.signal(signal.SIGHUP)
        file.write_text("wrong-password-of-it\n")
        add(tmp_path / "host.db", 1)
        user = {"RELAY_USER": "relay", "RELAY_PASSWORD_FILE": str(file)}
        settings = server.make_settings(tmp_path / "host.db", **user)
        journal_id = find_id(settings.journal_path)
        with pushing(settings) as status:
            wait_for(lambda: "Authorization" in (status.describe() or ""), "it is refused")
            assert status.errors["access"] > 0
            file.write_text("first-password-of-it\n")
            wait_for(lambda: status.errors["stream"] > 0, "it may, and there is no stream")
            set_up(settings)
            wait_for(lambda: status.find(journal_id).last_seq == 1, "the trade has passed")
            set_password(server, "other-password-of-it")
            node.signal(signal.SIGHUP)
            wait_for(lambda: status.wrong is not None and status.wrong.reason == "access", "it is cut off")
            file.write_text("other-password-of-it\n")
            add(settings.journal_path, 1)
            wait_for(lambda: status.find(journal_id).last_seq == 2, "it goes on")


def test_two_disks_of_one_journal_are_a_conflict_and_the_first_goes_on(
    host: Settings, hub: Settings, nats: Nats, tmp_path: Path
) -> None:
    journal_id = find_id(host.journal_path)
    with pushing(host), pulling(hub):
        wait_same(host.journal_path, hub.journal_path)
    back_up(host.journal_path, tmp_path / "copy.db")
    add(host.journal_path, 1)
    add(tmp_path / "copy.db", 2)
    with pushing(host), pulling(hub) as read:
        wait_same(host.journal_path, hub.journal_path)
        with pushing(nats.make_settings(tmp_path / "copy.db")) as copy:
            wait_for(lambda: "conflict: seq 6 is the trade" in (copy.describe() or ""), "it is seen")
            assert copy.find(journal_id).conflicts > 0
            add(host.journal_path, 1)
            wait_same(host.journal_path, hub.journal_path)
        assert read.find(journal_id).conflicts == 0


def test_an_old_disk_that_is_put_back_sends_nothing(host: Settings, hub: Settings, nats: Nats, tmp_path: Path) -> None:
    back_up(host.journal_path, tmp_path / "old.db")
    add(host.journal_path, 3)
    with pushing(host), pulling(hub):
        wait_same(host.journal_path, hub.journal_path)
    before = list_ids(hub.journal_path)
    with pushing(nats.make_settings(tmp_path / "old.db")) as sent, pulling(hub):
        wait_for(lambda: sent.errors["conflict"] > 0, "it is seen")
        # Its new trades have other ids at the seqs of lost ones.
        add(tmp_path / "old.db", 4)
        seen = sent.errors["conflict"]
        wait_for(lambda: sent.errors["conflict"] > seen, "it is seen again")
        assert list_ids(hub.journal_path) == before


def test_a_host_that_is_restored_from_a_copy_is_read_without_a_duplicate(
    host: Settings, hub: Settings, nats: Nats, tmp_path: Path
) -> None:
    with pushing(host), pulling(hub):
        wait_same(host.journal_path, hub.journal_path)
    back_up(host.journal_path, tmp_path / "copy.db")
    restore(tmp_path / "copy.db", tmp_path / "restored.db")
    add(tmp_path / "restored.db", 2)
    with pushing(nats.make_settings(tmp_path / "restored.db")), pulling(hub) as read:
        wait_for(lambda: len(list_ids(hub.journal_path)) == 7, "the new ones have arrived")
        assert list_ids(hub.journal_path) == list_ids(tmp_path / "restored.db")
        # They are in the journal before they are counted.
        restored = find_id(tmp_path / "restored.db")
        wait_for(lambda: read.find(restored).duplicates == 5, "the old ones are counted as duplicates")


def test_a_hub_that_is_put_back_from_an_old_copy_goes_on_at_the_place_of_the_copy(
    host: Settings, hub: Settings, tmp_path: Path
) -> None:
    with pushing(host) as sent:
        with pulling(hub):
            wait_same(host.journal_path, hub.journal_path)
        back_up(hub.journal_path, tmp_path / "copy.db")
        add(host.journal_path, 3)
        with pulling(hub):
            wait_same(host.journal_path, hub.journal_path)
        for ending in ("", "-wal", "-shm"):
            Path(f"{hub.journal_path}{ending}").unlink(missing_ok=True)
        restore(tmp_path / "copy.db", hub.journal_path)
        add(host.journal_path, 1)
        with pulling(hub) as read:
            wait_same(host.journal_path, hub.journal_path)
            own = read.find(find_id(host.journal_path))
            wait_for(lambda: own.events == 4, "what the copy lacks is counted")
            # From the stream alone: the host was not asked.
            assert (own.duplicates, own.rewinds, sent.find(own.journal_id).rewinds) == (0, 0, 0)


def test_what_is_no_batch_is_counted_and_skipped(host: Settings, hub: Settings) -> None:
    journal_id = find_id(host.journal_path)
    event = make_event(1)
    bad = (b"", b"{", b'{"after": -1, "events": []}', encode(Batch("b" * 32, 0, [event]))[0])

    async def send() -> None:
        async with connect(host, "test") as broker:
            for number, body in enumerate(bad):
                await broker.publish(f"trades.{number:032x}", body, 0)
            await broker.publish("trades.berlin", b"", 0)
            # A pusher that finds such a message as the last of its subject begins at the beginning.
            await broker.publish(f"trades.{journal_id}", b"?", 0)

    asyncio.run(send())
    with pulling(hub) as read, pushing(host):
        wait_same(host.journal_path, hub.journal_path)
        assert (read.errors["body"], read.errors["order"]) == (5, 1)


def test_a_hub_that_cannot_be_written_is_tried_again_and_its_place_does_not_move(
    host: Settings, hub: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise JournalError("full", "no room")

    with pushing(host), monkeypatch.context() as patched:
        patched.setattr(Journal, "append_batches", fail)
        with pulling(hub) as read:
            wait_for(lambda: read.describe() == "journal: no room", "it is shown")
            wait_for(lambda: read.errors["journal"] > 1, "it is tried again")
    with pulling(hub):
        wait_same(host.journal_path, hub.journal_path)


def test_a_hub_is_not_pushed(hub: Settings) -> None:
    with Journal(hub.journal_path) as journal:
        journal.adopt()
        with pytest.raises(HubError, match="expected that of a host"):
            Pusher(journal, JournalExecutor(), StreamStatus("push", "a"), hub)

"""A puller reads a real journal through a function that may fail, and writes a real hub."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import HubError, JournalError, RelayError
from common.journal.opening import back_up, restore
from common.journal.store import Journal
from relay.chain import Page
from relay.hub import Hub
from relay.puller import Puller
from tests.conftest import append, make_trade


class Host:
    """Answers as ``GET /trades`` of the web process does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failure: Exception | None = None
        self.asked: list[tuple[int, int]] = []

    def add(self, count: int) -> None:
        with Journal(self.path, "normal") as journal:
            append(journal, [make_trade() for _ in range(count)])

    def list_ids(self) -> list[str]:
        with Journal(self.path) as journal:
            return [event.id for event in journal.read_after(0)]

    def ask(self, after: int, limit: int) -> Page:
        self.asked.append((after, limit))
        if self.failure is not None:
            raise self.failure
        with Journal(self.path) as journal:
            found = journal.read_after(after, limit + 1)
            following = found[limit - 1].seq if len(found) > limit else None
            return Page(found[:limit], following, journal.journal_id, journal.pruned_seq())


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host.db")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(Journal(tmp_path / "hub.db", "normal")).adopt()
    yield hub
    hub.close()


def list_ids(tmp_path: Path) -> list[str]:
    with Journal(tmp_path / "hub.db") as journal:
        return [event.id for event in journal.read_after(0)]


def drain(puller: Puller) -> None:
    while puller.step():
        pass


def test_a_host_is_read_to_its_end_page_by_page_and_then_asked_for_its_newest_trade(
    host: Host, hub: Hub, tmp_path: Path
) -> None:
    host.add(7)
    puller = Puller("http://a", host.ask, hub, batch=3)
    drain(puller)
    assert list_ids(tmp_path) == host.list_ids()
    assert puller.status.wrong is None
    assert (puller.status.events, puller.status.duplicates, puller.status.last_seq) == (7, 0, 7)
    assert (puller.status.lag_seconds, puller.status.seen_at > 0) == (0.0, True)
    host.asked.clear()
    assert not puller.step()
    assert host.asked == [(6, 3)]
    host.add(1)
    drain(puller)
    assert list_ids(tmp_path) == host.list_ids()


def test_another_process_goes_on_where_the_hub_is(host: Host, hub: Hub, tmp_path: Path) -> None:
    host.add(2)
    drain(Puller("http://a", host.ask, hub))
    host.add(2)
    second = Puller("http://a", host.ask, hub)
    drain(second)
    assert second.status.events == 2
    assert list_ids(tmp_path) == host.list_ids()


def test_a_failure_is_counted_and_logged_once_until_the_host_is_read_again(
    host: Host, hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    host.add(1)
    puller = Puller("http://a", host.ask, hub)
    with caplog.at_level(logging.INFO, "relay.puller"):
        host.failure = RelayError("unreachable", "connection 1 refused")
        assert not puller.step()
        host.failure = RelayError("unreachable", "connection 2 refused")
        assert not puller.step()
        assert puller.status.wrong is host.failure
        host.failure = None
        drain(puller)
    assert puller.status.errors["unreachable"] == 2
    assert [record.message for record in caplog.records] == ["host cannot be read", "host is read"]
    assert puller.status.events == 1


def test_a_host_that_is_restored_from_a_copy_is_read_without_a_duplicate(host: Host, hub: Hub, tmp_path: Path) -> None:
    host.add(3)
    puller = Puller("http://a", host.ask, hub)
    drain(puller)
    back_up(host.path, tmp_path / "copy.db")
    restore(tmp_path / "copy.db", tmp_path / "restored.db")
    host.path = tmp_path / "restored.db"
    host.add(2)
    drain(puller)
    assert list_ids(tmp_path) == host.list_ids()
    assert (puller.status.events, puller.status.duplicates) == (5, 3)


def test_an_old_disk_that_is_put_back_is_a_conflict_and_no_trade_is_taken(
    host: Host, hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host.add(2)
    with Journal(host.path) as journal:
        back_up(host.path, tmp_path / "old.db")
        assert journal.last_seq() == 2
    host.add(2)
    before = host.list_ids()
    puller = Puller("http://a", host.ask, hub)
    drain(puller)
    shutil.copy(tmp_path / "old.db", tmp_path / "put-back.db")
    host.path = tmp_path / "put-back.db"
    for _ in range(3):
        drain(puller)
        assert puller.status.wrong is not None
        assert puller.status.wrong.reason == "conflict"
        host.add(1)
    assert list_ids(tmp_path) == before
    # It stays wrong while it is tried again, and is logged once.
    assert [record.message for record in caplog.records] == ["host cannot be read"]


def test_a_host_that_has_deleted_what_the_hub_lacks_is_not_read(host: Host, hub: Hub, tmp_path: Path) -> None:
    host.add(4)
    puller = Puller("http://a", host.ask, hub)
    drain(puller)
    host.add(2)
    with Journal(host.path) as journal:
        journal.prune(4, b"{}")
    drain(puller)
    assert puller.status.wrong is None
    host.add(2)
    with Journal(host.path) as journal:
        journal.prune(7, b"{}")
    drain(puller)
    assert puller.status.wrong is not None
    assert puller.status.wrong.reason == "pruned"
    assert len(list_ids(tmp_path)) == 6


def test_a_hub_that_cannot_be_written_is_tried_again(
    host: Host, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.add(1)
    puller = Puller("http://a", host.ask, hub)

    def fail(*_: object) -> None:
        raise JournalError("full", "no room")

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append_batches", fail)
        drain(puller)
    assert puller.status.errors["journal"] == 1
    drain(puller)
    assert list_ids(tmp_path) == host.list_ids()


def test_a_hub_is_not_its_own_host(hub: Hub, tmp_path: Path) -> None:
    itself = Host(tmp_path / "hub.db")
    puller = Puller("http://a", itself.ask, hub)
    drain(puller)
    assert list_ids(tmp_path) == []


def test_a_journal_with_trades_of_its_own_is_refused(host: Host) -> None:
    host.add(1)
    hub = Hub(Journal(host.path))
    with pytest.raises(HubError, match="trades of its own"):
        hub.adopt()
    hub.close()


_STEPS = st.lists(st.sampled_from(["add", "step", "fail", "restart", "prune"]), max_size=25)


@given(steps=_STEPS, batch=st.integers(2, 4))
@settings(max_examples=10, deadline=None)
def test_whatever_happens_the_hub_has_a_beginning_of_the_history_and_in_the_end_all(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], batch: int
) -> None:
    folder = tmp_path_factory.mktemp("hub")
    host, hub = Host(folder / "host.db"), Hub(Journal(folder / "hub.db", "normal")).adopt()
    host.add(1)
    everything = host.list_ids()
    puller = Puller("http://a", host.ask, hub, batch=batch)
    for step in steps:
        if step == "add":
            host.add(2)
            everything += [each for each in host.list_ids() if each not in everything]
        elif step == "fail":
            host.failure = RelayError("unreachable", "away")
            puller.step()
            host.failure = None
        elif step == "restart":
            puller = Puller("http://a", host.ask, hub, batch=batch)
        elif step == "prune":
            with Journal(host.path) as journal:
                journal.prune(max(puller.status.last_seq, journal.pruned_seq()), b"{}")
        else:
            puller.step()
        found = list_ids(folder)
        assert found == everything[: len(found)]
    drain(puller)
    assert list_ids(folder) == everything
    hub.close()

"""The commit queue, with threads, and with greenlets as in a worker of gunicorn."""

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

import pytest

from common.errors import JournalError
from common.journal.appending import AppendResult, KeyedTrade, Request
from common.journal.rows import Written
from tests.conftest import AT, BUY, ROOT
from tests.waiting import wait_for
from webapp import commit_queue
from webapp.commit_queue import CommitQueue, Queued

WAIT = 60
REQUEST = Request([KeyedTrade(BUY)], AT)
RESULT = AppendResult([], Written("", AT, range(0), (), ()), 1, 0, 1)


class Commits:
    """Commits that are recorded; each waits for ``gate``."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.groups: list[list[str]] = []
        self.error: Exception | None = None
        self.queue = CommitQueue(self.commit)

    def commit(self, group: Sequence[Queued]) -> None:
        self.groups.append([queued.request_id for queued in group])
        assert self.gate.wait(WAIT)
        if self.error is not None:
            raise self.error
        for queued in group:
            queued.outcome.set_result(RESULT)


@pytest.fixture
def commits() -> Iterator[Commits]:
    commits = Commits()
    yield commits
    commits.gate.set()


def test_requests_that_wait_share_a_commit_in_their_order(commits: Commits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_queue, "COMMIT_LIMIT", 3)
    futures = [commits.queue.put(REQUEST, "first")]
    wait_for(lambda: commits.groups, "the first commit has begun")
    sizes = [1, 1, 2, 5, 1]
    futures += [commits.queue.put(Request([KeyedTrade(BUY)] * size, AT), str(size)) for size in sizes]
    commits.gate.set()
    assert [future.result(WAIT) for future in futures] == [RESULT] * 6
    assert commits.groups == [["first"], ["1", "1"], ["2"], ["5"], ["1"]]


@pytest.mark.parametrize(("size", "before"), [(2, [0]), (3, []), (4, [])])
def test_a_request_that_fills_a_commit_waits_for_no_other(
    commits: Commits, monkeypatch: pytest.MonkeyPatch, size: int, before: list[int]
) -> None:
    waits: list[int] = []
    monkeypatch.setattr(commit_queue, "COMMIT_LIMIT", 3)
    monkeypatch.setattr(commit_queue, "wait_until_idle", lambda _: waits.append(len(commits.groups)))
    outcome = commits.queue.put(Request([KeyedTrade(BUY)] * size, AT), "large")
    wait_for(lambda: commits.groups, "the commit has begun")
    assert waits == before
    commits.gate.set()
    assert outcome.result(WAIT) == RESULT


def test_a_request_that_is_cancelled_while_it_waits_is_not_written(commits: Commits) -> None:
    first = commits.queue.put(REQUEST, "first")
    wait_for(lambda: commits.groups, "the first commit has begun")
    waiting = [commits.queue.put(REQUEST, name) for name in ("second", "third")]
    assert [future.cancel() for future in (first, *waiting[:1])] == [False, True]
    commits.gate.set()
    assert (first.result(WAIT), waiting[1].result(WAIT)) == (RESULT, RESULT)
    assert commits.groups == [["first"], ["third"]]


def test_when_all_that_wait_are_cancelled_the_next_request_is_written(commits: Commits) -> None:
    first = commits.queue.put(REQUEST, "first")
    wait_for(lambda: commits.groups, "the first commit has begun")
    assert commits.queue.put(REQUEST, "second").cancel()
    commits.gate.set()
    first.result(WAIT)
    assert commits.queue.put(REQUEST, "third").result(WAIT) == RESULT
    assert commits.groups == [["first"], ["third"]]


def test_a_bug_in_a_commit_fails_its_requests_and_no_others(commits: Commits, caplog: pytest.LogCaptureFixture) -> None:
    commits.error = RuntimeError("a bug")
    futures = [commits.queue.put(REQUEST, "first")]
    wait_for(lambda: commits.groups, "the first commit has begun")
    futures += [commits.queue.put(REQUEST, name) for name in ("second", "third")]
    commits.gate.set()
    for future in futures:
        with pytest.raises(JournalError, match="a bug"):
            future.result(WAIT)
    assert [record.message for record in caplog.records] == ["commit failed"] * 2
    commits.error = None
    assert commits.queue.put(REQUEST, "fourth").result(WAIT) == RESULT


UNDER_GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys
from functools import partial
from pathlib import Path
import gevent
from common.journal.appending import KeyedTrade
from common.journal.store import Journal
from common.wire.transport import Sender
from tests.conftest import BUY, SELL
from webapp.publisher import Publisher

folder = Path(sys.argv[1])
publisher = Publisher(Journal(folder / "journal.db"), partial(Sender, f"ipc://{folder}/hints"))
"""

KILLED = """
first = gevent.spawn(publisher.accept, [KeyedTrade(BUY)])
while not publisher._commits._has_writer:
    gevent.sleep(0)
publisher._journal_lock.acquire()
while publisher._commits._queue:
    gevent.sleep(0)
waiting = [gevent.spawn(publisher.accept, [KeyedTrade(trade)]) for trade in (SELL, BUY, SELL, BUY)]
while len(publisher._commits._queue) < 4:
    gevent.sleep(0)
gevent.killall([waiting[0], waiting[2]])
publisher._journal_lock.release()
done = [each.get(timeout=60).events[0] for each in (first, waiting[1], waiting[3])]
with Journal(folder / "journal.db") as journal:
    assert journal.read_after(0) == done, journal.read_after(0)
    assert [(event.seq, event.symbol) for event in done] == [(1, "BTCUSDT"), (2, "BTCUSDT"), (3, "BTCUSDT")]
"""

# The journal is opened before: each of its many statements would wait for the interpreter that the loop holds.
BUSY = """
publisher.check()
accepted = []
def spin():
    while not accepted:
        gevent.sleep(0)
for _ in range(1000):
    gevent.spawn(spin)
accepted += gevent.spawn(publisher.accept, [KeyedTrade(BUY)]).get(timeout=60).events
assert accepted[0].seq == 1
"""


@pytest.mark.parametrize(
    "script", [KILLED, BUSY], ids=["killed requests leave no other waiting", "a loop that is never idle"]
)
def test_under_gevent(script: str, tmp_path: object) -> None:
    subprocess.run([sys.executable, "-c", UNDER_GEVENT + script, str(tmp_path)], cwd=ROOT, check=True, timeout=240)

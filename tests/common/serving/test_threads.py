import threading
from functools import partial

import pytest

from common.serving.threads import Threads
from tests.waiting import wait_for


def wait(stopping: threading.Event) -> None:
    stopping.wait()


def fail() -> None:
    message = "broken"
    raise ValueError(message)


def test_a_thread_that_fails_is_named_and_its_error_logged(caplog: pytest.LogCaptureFixture) -> None:
    threads, stopping = Threads(), threading.Event()
    threads.start("waits", partial(wait, stopping))
    assert threads.find_dead() is None
    threads.start("fails", fail)
    wait_for(lambda: threads.find_dead() == "thread fails is dead", "the failed thread is found")
    stopping.set()
    threads.join()
    (record,) = caplog.records
    assert (record.message, record.__dict__["worker"]) == ("thread died", "fails")
    assert record.exc_info is not None


def test_a_thread_that_does_not_stop_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.serving.threads.JOIN_SECONDS", 0.0)
    threads, stopping = Threads(), threading.Event()
    threads.start("busy", partial(wait, stopping))
    threads.join()
    assert [record.message for record in caplog.records] == ["thread did not stop in time"]
    stopping.set()

"""Sessions end when they are told, and the pauses between them are bounded."""

import asyncio
import threading

from common.settings import Settings
from relay.broker import Broker
from relay.stream_session import PAUSE_SECONDS, PAUSE_SECONDS_MAX, Sessions, find_pause
from relay.stream_status import StreamStatus
from tests.waiting import wait_for


def test_a_pause_grows_to_its_bound_however_many_failures_there_were() -> None:
    assert [find_pause(failures) for failures in (0, 1, 2000)] == [
        PAUSE_SECONDS,
        PAUSE_SECONDS * 2,
        PAUSE_SECONDS_MAX,
    ]


def test_a_session_that_loses_its_first_cancellation_is_cancelled_again() -> None:
    lost, began = threading.Event(), threading.Event()
    stopping = threading.Event()

    async def work(_: Broker) -> None:
        raise AssertionError

    class Deaf(Sessions):
        async def _repeat(self) -> None:
            began.set()
            while True:
                try:
                    await asyncio.sleep(600)
                except asyncio.CancelledError:
                    if lost.is_set():
                        raise
                    lost.set()

    sessions = Deaf(Settings(), StreamStatus("push", "a"), work)
    thread = threading.Thread(target=sessions.run, args=(stopping,), daemon=True)
    thread.start()
    wait_for(began.is_set, "it works")
    stopping.set()
    thread.join(60)
    assert not thread.is_alive()
    assert lost.is_set()

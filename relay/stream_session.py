"""Sessions with the broker, one after the other: whatever fails, a new connection begins where the journals say."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final

from common.errors import JournalError, RelayError
from common.settings import Settings
from relay.broker import Broker, connect
from relay.stream_status import StreamStatus

PAUSE_SECONDS: Final = 0.05
PAUSE_SECONDS_MAX: Final = 1.0
"""How long the broker is left alone: after the first failure, and after several."""

STOP_SECONDS: Final = 0.1
"""How soon a session notices that the process stops."""

CANCEL_SECONDS: Final = 1.0
"""How long a session that was cancelled may take before it is cancelled again."""

Work = Callable[[Broker], Coroutine[Any, Any, None]]
"""Uses a connection until it raises RelayError or JournalError."""

Measure = Callable[[], Coroutine[Any, Any, None]]
"""Measures what waits. Raises JournalError."""


class Sessions:
    """Runs work over connections, one after the other; it belongs to one thread."""

    def __init__(self, settings: Settings, status: StreamStatus, work: Work, measure: Measure | None = None) -> None:
        """Keep the work; ``measure`` is called between two sessions."""
        self._settings = settings
        self._status = status
        self._work = work
        self._measure = measure

    def run(self, stopping: threading.Event) -> None:
        """Run until ``stopping`` is set, or until the work cannot go on, which is logged."""
        # It warns of each TLS connection that a server ends.
        logging.getLogger("asyncio").setLevel(logging.ERROR)
        asyncio.run(self._run(stopping))

    async def _run(self, stopping: threading.Event) -> None:
        task = asyncio.create_task(self._repeat())
        while not stopping.is_set() and not task.done():
            await asyncio.wait({task}, timeout=STOP_SECONDS)
        while not task.done():
            # wait_for of Python 3.11 loses a cancellation that comes with its result.
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_SECONDS)
        with contextlib.suppress(asyncio.CancelledError):
            task.result()

    async def _use(self, broker: Broker) -> None:
        """Work until an error, or until the connection is lost, which a request notices only by its time-out."""
        tasks = [asyncio.create_task(self._work(broker)), asyncio.create_task(broker.wait_lost())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _repeat(self) -> None:
        failures = 0
        while True:
            try:
                async with connect(self._settings, f"relay {self._status.direction}") as broker:
                    await self._use(broker)
            except (RelayError, JournalError) as error:
                failures = failures + 1 if self._status.wrong is not None else 0
                known = error if isinstance(error, RelayError) else RelayError("journal", error.detail)
                self._status.fail(known)
                if known.reason == "pruned":
                    return
            if self._measure is not None:
                with contextlib.suppress(JournalError):
                    await self._measure()
            await asyncio.sleep(find_pause(failures))


def find_pause(failures: int) -> float:
    """Return how many seconds the broker is left alone after so many failures in a row."""
    return min(PAUSE_SECONDS_MAX, PAUSE_SECONDS * 2.0 ** min(failures, 5))

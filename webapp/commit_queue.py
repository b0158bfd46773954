"""The commit queue: requests that are waiting share one transaction and one sync."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, NamedTuple

from common.errors import JournalError
from common.journal.appending import AppendResult, Request
from webapp.concurrency import spawn, wait_until_idle

COMMIT_LIMIT: Final = 512
"""The most trades in one commit, unless one request alone has more."""

IDLE_SECONDS: Final = 0.005
"""The longest that a commit is delayed for requests that have arrived but were not read yet."""

_log = logging.getLogger(__name__)


class Queued(NamedTuple):
    """A request that waits for its commit, and the future of its result."""

    request: Request
    request_id: str
    future: Future[AppendResult]


class CommitQueue:
    """One writer commits what is queued, up to COMMIT_LIMIT, while later requests queue.

    - A process runs one commit at a time, and its seqs follow the order of the queue.
    - A result is set after the commit that has its trades.
    - The writer starts with a request and ends when none is queued. No request is its own writer, so none that is
      killed while it waits can leave others waiting; a request that is cancelled before its commit is not written.
    """

    def __init__(self, commit: Callable[[Sequence[Queued]], None]) -> None:
        """Keep the function that commits requests and sets their results; it may raise, before any result is set."""
        self._commit = commit
        self._queue: deque[Queued] = deque()
        self._has_writer = False
        self._lock = threading.Lock()

    def put(self, request: Request, request_id: str) -> Future[AppendResult]:
        """Queue a request; the result of its future is a TelemetryError when nothing of it was written."""
        queued = Queued(request, request_id, Future())
        with self._lock:
            self._queue.append(queued)
            needs_writer, self._has_writer = not self._has_writer, True
        if needs_writer:
            spawn(self._write)
        return queued.future

    def _write(self) -> None:
        while group := self._take():
            try:
                self._commit(group)
            except Exception as error:  # noqa: BLE001 - else all later requests would wait for ever
                _log.exception("commit failed")
                for queued in group:
                    if not queued.future.done():
                        queued.future.set_exception(JournalError("failed", f"the commit was interrupted: {error!r}"))

    def _take(self) -> list[Queued]:
        # Requests that the event loop has received are read first: they share this commit.
        wait_until_idle(IDLE_SECONDS)
        with self._lock:
            group: list[Queued] = []
            trades = 0
            while self._queue and (not group or trades + len(self._queue[0].request.trades) <= COMMIT_LIMIT):
                queued = self._queue.popleft()
                if queued.future.set_running_or_notify_cancel():
                    group.append(queued)
                    trades += len(queued.request.trades)
            self._has_writer = bool(group)
        return group

"""The commit queue: requests that are waiting share one transaction and one sync."""

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from common.errors import JournalError
from common.journal.appending import AppendResult, Request
from webapp.concurrency import spawn, wait_until_idle

COMMIT_LIMIT: Final = 512
"""The most trades in one commit, unless one request alone has more."""

IDLE_SECONDS: Final = 0.005
"""The longest that a commit is delayed for requests that have arrived but were not read yet."""

_log = logging.getLogger(__name__)


class Outcome:
    """What becomes of a queued request: set at most once, by the writer.

    A future of concurrent.futures has a condition, which takes 13 µs more of each request under gevent (docs/bench.md).
    """

    def __init__(self) -> None:
        # The first to take a number decides. Not a lock: under gevent a try that fails lets all others run first.
        self._numbers = itertools.count()
        self._is_set = threading.Event()
        self._result: AppendResult | None = None
        self._error: Exception | None = None

    def begin(self) -> bool:
        """Return whether the request is written now; not when it was cancelled before."""
        return next(self._numbers) == 0

    def cancel(self) -> bool:
        """Cancel the request; return False when its commit had begun."""
        return next(self._numbers) == 0

    def set_result(self, result: AppendResult) -> None:
        """Set what the request did."""
        self._result = result
        self._is_set.set()

    def set_exception(self, error: Exception) -> None:
        """Set why nothing of it was written."""
        self._error = error
        self._is_set.set()

    def done(self) -> bool:
        """Return whether it was set."""
        return self._is_set.is_set()

    def result(self, timeout: float | None = None) -> AppendResult:
        """Wait for the result, or raise the exception. Raises TimeoutError after ``timeout`` seconds."""
        if not self._is_set.wait(timeout):
            raise TimeoutError
        if self._result is None:
            raise self._error or RuntimeError
        return self._result


class Queued(NamedTuple):
    """A request that waits for its commit, and its outcome."""

    request: Request
    request_id: str
    outcome: Outcome


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

    def put(self, request: Request, request_id: str) -> Outcome:
        """Queue a request; its outcome is a TelemetryError when nothing of it was written."""
        queued = Queued(request, request_id, Outcome())
        with self._lock:
            self._queue.append(queued)
            needs_writer, self._has_writer = not self._has_writer, True
        if needs_writer:
            spawn(self._write)
        return queued.outcome

    def _write(self) -> None:
        while group := self._take():
            try:
                self._commit(group)
            except Exception as error:  # noqa: BLE001 - else all later requests would wait for ever
                _log.exception("commit failed")
                for queued in group:
                    if not queued.outcome.done():
                        queued.outcome.set_exception(JournalError("failed", f"the commit was interrupted: {error!r}"))

    def _take(self) -> list[Queued]:
        # Requests that the event loop has received are read first: they share this commit, if it has room for them.
        if not self._is_full():
            wait_until_idle(IDLE_SECONDS)
        with self._lock:
            group: list[Queued] = []
            trades = 0
            while self._queue and (not group or trades + len(self._queue[0].request.trades) <= COMMIT_LIMIT):
                queued = self._queue.popleft()
                if queued.outcome.begin():
                    group.append(queued)
                    trades += len(queued.request.trades)
            self._has_writer = bool(group)
        return group

    def _is_full(self) -> bool:
        with self._lock:
            return bool(self._queue) and len(self._queue[0].request.trades) >= COMMIT_LIMIT

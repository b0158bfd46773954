"""A puller: asks one host for its trades, page by page, and writes them to the hub's journal."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from common.errors import JournalError, RelayError
from common.event import SEQ_MAX
from common.journal.hub import Mark
from common.timestamps import now
from relay.chain import Page, find_start, follow
from relay.hub import Hub

RETRY_SECONDS: Final = 1.0
"""How long a host that failed is left alone."""

REASONS: Final = (
    "unreachable",
    "tls",
    "access",
    "status",
    "body",
    "hub",
    "pruned",
    "conflict",
    "gap",
    "order",
    "itself",
    "journal",
)
"""Why a host may not be read, in docs/metrics.md; ``journal``: the hub's own cannot be used."""

Ask = Callable[[int, int], Page]
"""Returns the first trades of a host after a seq, up to a number of them. Raises RelayError."""

_log = logging.getLogger(__name__)


@dataclass
class HostStatus:
    """What is known of one host; only its puller changes it. Times are in seconds since 1970, 0: never."""

    url: str
    journal_id: str = ""
    last_seq: int = 0
    seen_at: float = 0.0
    lag_seconds: float = 0.0
    events: int = 0
    duplicates: int = 0
    errors: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    wrong: RelayError | None = field(default_factory=lambda: RelayError("", "it was not asked yet"))


class Puller:
    """Reads one host; it belongs to one thread."""

    def __init__(
        self, url: str, ask: Ask, hub: Hub, *, batch: int = 500, wall_clock: Callable[[], datetime] = now
    ) -> None:
        """Keep what asks the host at ``url``; ``batch`` is the most trades of a page."""
        self.status = HostStatus(url)
        self._ask = ask
        self._hub = hub
        self._batch = batch
        self._wall_clock = wall_clock
        self._mark: Mark | None = None

    def run(self, stopping: threading.Event, poll_seconds: float) -> None:
        """Step until ``stopping`` is set; at the end of the host's journal, once in ``poll_seconds``."""
        while not stopping.is_set():
            began = time.monotonic()
            if not self.step():
                pause = poll_seconds if self.status.wrong is None else RETRY_SECONDS
                stopping.wait(max(0.0, began + pause - time.monotonic()))

    def step(self) -> bool:
        """Read one page and write it; return whether the next one can be asked for at once."""
        try:
            return self._pull()
        except JournalError as error:
            self._fail(RelayError("journal", error.detail))
        except RelayError as error:
            self._fail(error)
        return False

    def _pull(self) -> bool:
        mark = self._mark
        if mark is None:
            # Only the answer has the journal_id, whose mark says where to go on.
            return self._meet(self._ask(SEQ_MAX, 1))
        page = self._ask(find_start(mark), self._batch)
        if page.journal_id != self.status.journal_id:
            return self._meet(page)
        batch = follow(mark, page)
        last = batch.events[-1] if batch.events else None
        if last is not None and last.seq > mark.last_seq:
            result = self._hub.append(batch)
            self._mark = Mark(last.seq, last.id)
            self.status.last_seq = last.seq
            self.status.events += result.written
            # The trade at the mark was asked for again.
            self.status.duplicates += result.duplicates - (batch.after < mark.last_seq)
        current = self._wall_clock()
        self.status.seen_at = current.timestamp()
        self.status.lag_seconds = 0.0
        if last is not None and page.next is not None:
            age = current - datetime.fromisoformat(last.accepted_at)
            self.status.lag_seconds = max(0.0, age.total_seconds())
        if self.status.wrong is not None:
            _log.info("host is read", extra={"host": self.status.url, "journal_id": self.status.journal_id})
            self.status.wrong = None
        return page.next is not None

    def _meet(self, page: Page) -> bool:
        self.status.journal_id = page.journal_id
        self._mark = self._hub.read_mark(page.journal_id)
        self.status.last_seq = self._mark.last_seq
        return True

    def _fail(self, error: RelayError) -> None:
        status = self.status
        status.errors[error.reason] += 1
        if status.wrong is None or status.wrong.reason != error.reason:
            extra = {"host": status.url, "journal_id": status.journal_id, "reason": error.reason}
            _log.error("host cannot be read", extra=extra | {"detail": error.detail})
        status.wrong = error
        # Whatever was wrong, the mark in the journal is right.
        self._mark = None

"""What is known of a relay over a stream: of the broker, and of each journal whose trades pass."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from common.errors import RelayError
from common.histogram import Histogram

Direction = Literal["push", "pull"]

REASONS: Final = (
    "unreachable",
    "tls",
    "access",
    "timeout",
    "stream",
    "broker",
    "full",
    "body",
    "hub",
    "itself",
    "order",
    "conflict",
    "pruned",
    "journal",
)
"""Why trades may not pass, in docs/metrics.md; ``journal``: the own one cannot be used."""

ACK_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

_log = logging.getLogger(__name__)


@dataclass
class JournalStatus:
    """One journal; ``journal_last_seq`` is the newest seq that it is known to have. Times are in seconds since 1970."""

    journal_id: str
    last_seq: int = 0
    journal_last_seq: int = 0
    seen_at: float = 0.0
    waiting_since: float = 0.0
    events: int = 0
    duplicates: int = 0
    rewinds: int = 0
    fenced: int = 0
    conflicts: int = 0
    wrong: str = ""


@dataclass
class StreamStatus:
    """The broker at ``address``; only the thread of the relay changes it."""

    direction: Direction
    address: str
    errors: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    wrong: RelayError | None = field(default_factory=lambda: RelayError("", "it was not reached yet"))
    journals: dict[str, JournalStatus] = field(default_factory=dict)
    differs: Mapping[str, bool] = field(default_factory=dict)
    """What the stream was made with, and whether that is another value than the settings say; pulling only."""
    acks: Histogram = field(default_factory=lambda: Histogram.over(ACK_BOUNDS))

    def find(self, journal_id: str) -> JournalStatus:
        """Return what is known of a journal."""
        return self.journals.setdefault(journal_id, JournalStatus(journal_id))

    def count(self, error: RelayError) -> None:
        """Count an error after which the relay goes on."""
        self.errors[error.reason] += 1

    def report(self, error: RelayError) -> None:
        """Count an error, and log the first of its reason: the relay goes on, and it may come each second."""
        if not self.errors[error.reason]:
            extra = {"direction": self.direction, "reason": error.reason, "detail": error.detail}
            _log.warning("stream has an error", extra=extra)
        self.count(error)

    def fail(self, error: RelayError) -> None:
        """Note that no trade passes; it is logged when it was not so, or for another reason."""
        self.count(error)
        if self.wrong is None or self.wrong.reason != error.reason:
            extra = {"direction": self.direction, "reason": error.reason, "detail": error.detail}
            _log.error("stream cannot be used", extra=extra)
        self.wrong = error

    def succeed(self) -> None:
        """Note that trades pass."""
        if self.wrong is not None:
            _log.info("stream is used", extra={"direction": self.direction, "address": self.address})
            self.wrong = None

    def describe(self) -> str | None:
        """Say what is wrong, with the broker or with a journal, or None."""
        if self.wrong is not None:
            return f"{self.wrong.reason}: {self.wrong.detail}" if self.wrong.reason else self.wrong.detail
        wrong = [f"{each.journal_id}: {each.wrong}" for each in list(self.journals.values()) if each.wrong]
        return "; ".join(wrong) or None

"""When a host is asked to go back: a batch follows trades that the hub does not have. No clock, socket or file."""

from dataclasses import dataclass
from typing import Final

ASK_SECONDS: Final = 1.0
ASK_SECONDS_MAX: Final = 60.0
"""How long a host is left alone that was asked and sent nothing which the hub can use: from one to the other."""


@dataclass
class _Asked:
    mark: int
    at: float
    pause: float
    until: int


class Rewinds:
    """Remembers what each host was asked.

    A host answers by sending everything after the hub's mark again. What was in the stream when it was asked cannot be
    its answer, and each further question would let it begin again.
    """

    def __init__(self) -> None:
        """Begin without a question."""
        self._asked: dict[str, _Asked] = {}

    def is_due(self, journal_id: str, mark: int, seq: int, pending: int, now: float) -> bool:
        """Return whether to ask a host, whose message ``seq`` of the stream has a gap, and note that it was asked.

        ``pending`` messages follow in the stream; ``now`` is in seconds.
        """
        asked = self._asked.get(journal_id)
        pause = ASK_SECONDS
        if asked is not None:
            if seq <= asked.until or now - asked.at < asked.pause:
                return False
            if asked.mark == mark:
                pause = min(ASK_SECONDS_MAX, asked.pause * 2)
        self._asked[journal_id] = _Asked(mark, now, pause, seq + pending)
        return True

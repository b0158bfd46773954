"""The state of the pipeline for the feed: checked in the background, so that no trade waits for a slow answer."""

import json
import threading
from collections.abc import Callable

from webapp.concurrency import spawn
from webapp.pipeline import State


class PipelineWatch:
    """Keeps the newest state of the pipeline; each reading starts the next check, when none is running."""

    def __init__(self, check: Callable[[], State]) -> None:
        """Keep the check; it may take seconds."""
        self._check = check
        self._lock = threading.Lock()
        self._checking = False
        self._newest: State | None = None

    def read(self) -> bytes:
        """Return the newest state as a server-sent event without an id; nothing before the first check has ended."""
        with self._lock:
            newest, checking = self._newest, self._checking
            self._checking = True
        if not checking:
            spawn(self._run)
        return b"event: pipeline\ndata: %b\n\n" % json.dumps(newest.describe()).encode() if newest else b""

    def _run(self) -> None:
        try:
            self._newest = self._check()
        finally:
            self._checking = False

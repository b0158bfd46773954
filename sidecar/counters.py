"""The counters: the state, shared by the sidecar's threads under one lock."""

import threading

from sidecar.state import State


class Counters:
    """The state that is counted: the consumer changes and replaces it, others read it; each under ``lock``."""

    def __init__(self, state: State) -> None:
        """Share ``state``."""
        self.state = state
        self.lock = threading.Lock()

    def replace(self, state: State) -> None:
        """Continue with another state: the journal was replaced."""
        with self.lock:
            self.state = state

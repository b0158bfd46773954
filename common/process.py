"""Objects that belong to one process: sockets, connections and locks do not survive a fork."""

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Opens an object on the first ``get`` in each process, and again after a fork."""

    def __init__(self, open_it: Callable[[], T]) -> None:
        """Keep the function that opens the object; nothing is opened yet."""
        self._open = open_it
        self._lock = threading.Lock()
        self._pid = 0
        self._held: T | None = None

    def get(self) -> T:
        """Return this process's object, opening it first if needed."""
        with self._lock:
            if self._held is None or self._pid != os.getpid():
                self._held = self._open()
                self._pid = os.getpid()
            return self._held

    def take(self) -> T | None:
        """Remove and return this process's object, so that it can be closed; None when this process has none."""
        with self._lock:
            held, self._held = self._held, None
            return held if self._pid == os.getpid() else None

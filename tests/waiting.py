"""Bounded waits: a condition is checked repeatedly until it holds, or the test fails with what did not happen."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE = threading.Event()


def wait_for(ask: Callable[[], T | None], what: str, seconds: float = 60.0, every: float = 0.01) -> T:
    """Return the first answer that is true."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            message = f"within {seconds} s it did not happen that {what}"
            raise AssertionError(message)
        _PAUSE.wait(every)

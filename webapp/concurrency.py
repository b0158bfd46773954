"""The one place that knows of gevent: blocking calls leave the event loop for a thread of its pool."""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar, cast

T = TypeVar("T")
_Outcome = tuple[T | None, BaseException | None]


def run_in_threadpool(call: Callable[[], T]) -> T:
    """Make a blocking call without holding up this worker's other requests; without gevent, just make it.

    The call runs in a plain thread, so it must not touch locks or queues that greenlets share.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return call()
    import gevent  # noqa: PLC0415 - where no worker has loaded gevent, it is not wanted

    task = gevent.get_hub().threadpool.spawn(_try, call)
    try:
        value, error = cast("_Outcome[T]", task.get())
    except gevent.GreenletExit:
        # The worker stops, but the call cannot: what it did must still be known, or a kept trade would look refused.
        value, error = cast("_Outcome[T]", task.get())
    if error is not None:
        raise error
    return cast("T", value)


def every(seconds: float, call: Callable[[], None]) -> None:
    """Make a call again and again, as long as this worker lives; it must not fail."""

    def run() -> None:
        while True:
            time.sleep(seconds)
            call()

    spawn(run)


def spawn(call: Callable[[], None]) -> None:
    """Start a call beside the requests; under gevent it is a greenlet."""
    threading.Thread(target=call, name="beside", daemon=True).start()


def _try(call: Callable[[], T]) -> "_Outcome[T]":
    # gevent prints what a call raises, besides raising it again.
    try:
        return call(), None
    except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
        return None, error


def end_reading(connection: socket.socket) -> None:
    """Let a connection's reader find its end once it has read what has come, also while it waits for more."""
    monkey = sys.modules.get("gevent.monkey")
    # gevent's own shutdown would break the wait off, and what has come would be lost.
    plain = monkey.get_original("socket", "socket") if monkey is not None else socket.socket
    with contextlib.suppress(OSError), plain(fileno=os.dup(connection.fileno())) as double:
        double.shutdown(socket.SHUT_RD)

"""Concurrency under gevent and without it: blocking calls, repeated calls, background calls."""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar, cast

T = TypeVar("T")
_Outcome = tuple[T | None, BaseException | None]


def run_in_threadpool(call: Callable[[], T]) -> T:
    """Make a blocking call in a thread of gevent's pool, so that it does not block the event loop of this worker.

    It must not use locks or queues that greenlets share. Without gevent the call is made in the calling thread.
    Raises what the call raises.
    """
    gevent = _find_gevent()
    if gevent is None:
        return call()
    task = gevent.get_hub().threadpool.spawn(_try, call)
    try:
        value, error = cast("_Outcome[T]", task.get())
    except gevent.GreenletExit:
        # The worker stops, but the thread cannot: wait for its outcome, or a committed trade would be answered as
        # rejected.
        value, error = cast("_Outcome[T]", task.get())
    if error is not None:
        raise error
    return cast("T", value)


def wait_until_idle(seconds: float) -> None:
    """Let other greenlets run until the event loop has nothing more to do, for ``seconds`` at most.

    Without gevent it returns at once.
    """
    gevent = _find_gevent()
    if gevent is None:
        return
    with gevent.Timeout(seconds, exception=False):
        gevent.idle()


def pause() -> None:
    """Let other greenlets run, those whose data has arrived too."""
    time.sleep(0)


def every(seconds: float, call: Callable[[], None]) -> None:
    """Make a call now and every ``seconds``, until the process ends; it must not raise."""

    def run() -> None:
        while True:
            call()
            time.sleep(seconds)

    spawn(run)


def spawn(call: Callable[[], None]) -> None:
    """Start a call in the background; under gevent it is a greenlet."""
    gevent = _find_gevent()
    if gevent is None:
        threading.Thread(target=call, name="background", daemon=True).start()
    else:
        # A patched thread is a greenlet too, but its start takes longer than all else of a short call.
        gevent.spawn(call)


def _find_gevent() -> ModuleType | None:
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return None
    import gevent  # noqa: PLC0415 - a process that has not loaded gevent must not load it here

    return gevent


def _try(call: Callable[[], T]) -> "_Outcome[T]":
    # gevent prints the traceback of what a call raises, and then raises it too.
    try:
        return call(), None
    except BaseException as error:  # noqa: BLE001 - run_in_threadpool raises it
        return None, error


def end_reading(connection: socket.socket) -> None:
    """Shut down the reading side of a connection: its reader gets the data received so far, then the end."""
    monkey = sys.modules.get("gevent.monkey")
    # gevent's own shutdown would cancel a pending recv, and received data would be lost.
    plain = monkey.get_original("socket", "socket") if monkey is not None else socket.socket
    with contextlib.suppress(OSError), plain(fileno=os.dup(connection.fileno())) as duplicate:
        duplicate.shutdown(socket.SHUT_RD)

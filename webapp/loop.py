"""The one place that knows of gevent: blocking calls leave the event loop for a thread of its pool."""

import sys
from collections.abc import Callable
from typing import TypeVar, cast

T = TypeVar("T")


def leave_loop(call: Callable[[], T]) -> T:
    """Make a blocking call without holding up this worker's other requests; without gevent, just make it.

    The call runs in a plain thread, so it must not touch locks or queues that greenlets share.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return call()
    import gevent  # noqa: PLC0415 - where no worker has loaded gevent, it is not wanted

    result = gevent.get_hub().threadpool.spawn(call)
    try:
        return cast("T", result.get())
    except gevent.GreenletExit:
        # The worker stops, but the call cannot: what it did must still be known, or a kept trade would look refused.
        return cast("T", result.get())

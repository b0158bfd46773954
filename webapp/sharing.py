"""Sharing: concurrent callers share one computation, and later ones its result for a while."""

import threading
from collections.abc import Callable
from typing import TypeVar

from cachetools import TTLCache, cached

T = TypeVar("T")


def share(call: Callable[..., T], seconds: float, limit: int) -> Callable[..., T]:
    """Cache the results of a call for ``seconds``, for up to ``limit`` different arguments.

    A caller with the same arguments waits for the computation that is running.
    """
    return cached(TTLCache(limit, seconds), condition=threading.Condition())(call)

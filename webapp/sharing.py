"""Sharing: one answer serves all who ask within a moment."""

import threading
from collections.abc import Callable
from typing import TypeVar

from cachetools import TTLCache, cached

T = TypeVar("T")


def share(call: Callable[..., T], seconds: float, limit: int) -> Callable[..., T]:
    """Keep the answers to ``limit`` different questions for some ``seconds``.

    Who asks while an answer is worked out waits for that one.
    """
    return cached(TTLCache(limit, seconds), condition=threading.Condition())(call)

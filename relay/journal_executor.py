"""The executor of a journal, beside an event loop: one thread, which no look-up of a name keeps busy."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")


class JournalExecutor:
    """Runs calls one after the other, also when what waits for one is cancelled; they have ended with the block."""

    def __init__(self) -> None:
        """Begin without a call; the thread starts with the first."""
        self._executor = ThreadPoolExecutor(1, "journal")

    async def run(self, call: Callable[..., T], *args: object) -> T:
        """Return what a call returns. Raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, call, *args)

    def __enter__(self) -> Self:
        """Return the executor."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the last call."""
        self._executor.shutdown()

"""Readiness: whether a trade could be accepted now; concurrent callers share one probe."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from common.errors import JournalError
from common.journal.identity import identify
from webapp.sharing import share

SHARED_SECONDS: Final = 0.25
"""How long one result is shared: a probe writes to the journal, and delays trades."""


class Readiness:
    """Probes the journal, one probe at a time; a result is valid only for the files that were probed."""

    def __init__(self, probe: Callable[[], None], path: Path) -> None:
        """Keep the probe, which raises JournalError, and the path of the journal."""
        self._path = path

        def run_probe(_files: object) -> JournalError | None:
            try:
                probe()
            except JournalError as error:
                return error
            return None

        self._probe = share(run_probe, SHARED_SECONDS, 1)

    def check(self) -> None:
        """Return when a trade could be accepted. Raises JournalError."""
        error = self._probe(identify(self._path))
        if error is not None:
            raise JournalError(error.reason, error.detail) from error

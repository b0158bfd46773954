"""The state of the pipeline: whether trades are accepted and counted, and how far the sidecar is behind."""

import contextlib
import http
import json
import time
from typing import Final, NamedTuple, TypedDict

from common.errors import JournalError
from webapp.alerts import Alert, Alerts
from webapp.reader import JournalReader
from webapp.readiness import Readiness
from webapp.sharing import share
from webapp.sidecar import SidecarClient

CACHE_SECONDS: Final = 2.0
"""How long one answer is shared: each one writes to the journal."""


class WebState(TypedDict):
    """Whether a trade can be accepted now, else the reason."""

    ready: bool
    reason: str | None


class SidecarState(TypedDict):
    """Whether the sidecar answers and counts; ``last_seq`` is the last trade that it has counted."""

    reachable: bool
    ready: bool
    last_seq: int | None


class Found(TypedDict):
    """Whether trades are accepted and counted; ``lag_events`` are accepted and not yet counted.

    ``alerts`` fire; null when no Prometheus answers.
    """

    web: WebState
    sidecar: SidecarState
    last_seq: int | None
    lag_events: int | None
    alerts: list[Alert] | None


class PipelineState(Found):
    """Whether trades are accepted and counted, ``age`` seconds ago; ``lag_events`` were not yet counted."""

    age: float


class State(NamedTuple):
    """What a check found, and when on the monotonic clock."""

    checked_at: float
    found: Found

    def describe(self) -> PipelineState:
        """Return what was found, with its age in seconds."""
        return {"age": round(time.monotonic() - self.checked_at, 3), **self.found}


class Pipeline:
    """The pipeline as this worker sees it: the journal, and over HTTP the sidecar and Prometheus."""

    def __init__(self, readiness: Readiness, reader: JournalReader, sidecar: SidecarClient, alerts: Alerts) -> None:
        """Keep what to check; nothing is checked yet."""
        self._readiness = readiness
        self._reader = reader
        self._sidecar = sidecar
        self._alerts = alerts
        self.get = share(self._check, CACHE_SECONDS, 1)

    def _check(self) -> State:
        """Return whether trades are accepted, whether they are counted, and how many are not counted yet."""
        # From before the check: what it found may have changed while it waited.
        checked_at = time.monotonic()
        return State(checked_at, self._find())

    def _find(self) -> Found:
        sidecar = self._get_sidecar()
        alerts = self._alerts.get()
        try:
            self._readiness.check()
            last_seq = self._reader.last_seq()
        except JournalError as error:
            web: WebState = {"ready": False, "reason": error.reason}
            return {"web": web, "sidecar": sidecar, "last_seq": None, "lag_events": None, "alerts": alerts}
        counted = sidecar["last_seq"]
        lag = None if counted is None else max(0, last_seq - counted)
        web = {"ready": True, "reason": None}
        return {"web": web, "sidecar": sidecar, "last_seq": last_seq, "lag_events": lag, "alerts": alerts}

    def _get_sidecar(self) -> SidecarState:
        answer = self._sidecar.get("/readyz")
        if answer is not None:
            # Another program may answer at its address.
            with contextlib.suppress(ValueError, LookupError, TypeError):
                last_seq = json.loads(answer.body)["last_seq"]
                return {"reachable": True, "ready": answer.status == http.HTTPStatus.OK, "last_seq": last_seq}
        return {"reachable": False, "ready": False, "last_seq": None}

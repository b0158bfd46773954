"""The state of the pipeline: whether trades are accepted and counted, and how far the sidecar is behind."""

import contextlib
import http.client
import json
from collections.abc import Callable
from typing import Any, Final, cast

from flask import Blueprint, Flask, Response, current_app, jsonify

from common.errors import JournalError
from common.links import find_reachable
from common.process import PerProcess
from common.settings import Settings
from webapp.reader import JournalReader
from webapp.readiness import Readiness
from webapp.sharing import share

SIDECAR_TIMEOUT: Final = 1.0
"""Seconds that the sidecar has to answer."""

CACHE_SECONDS: Final = 2.0
"""How long one answer is shared: each one writes to the journal."""

bp = Blueprint("pipeline", __name__)


class Pipeline:
    """The pipeline as this worker sees it: the journal, and the sidecar over HTTP."""

    def __init__(self, readiness: Readiness, reader: JournalReader, sidecar: tuple[str, int]) -> None:
        """Keep what to check, with the sidecar's host and port; nothing is checked yet."""
        self._readiness = readiness
        self._reader = reader
        self._sidecar = sidecar

    def check(self) -> dict[str, Any]:
        """Return whether trades are accepted, whether they are counted, and how many are not counted yet."""
        sidecar = self._get_sidecar()
        try:
            self._readiness.check()
            last_seq = self._reader.last_seq()
        except JournalError as error:
            web = {"ready": False, "reason": error.reason}
            return {"web": web, "sidecar": sidecar, "last_seq": None, "lag_events": None}
        counted = sidecar["last_seq"]
        lag = None if counted is None else max(0, last_seq - counted)
        web = {"ready": True, "reason": None}
        return {"web": web, "sidecar": sidecar, "last_seq": last_seq, "lag_events": lag}

    def _get_sidecar(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection(*self._sidecar, timeout=SIDECAR_TIMEOUT)
        with (
            contextlib.closing(connection),
            contextlib.suppress(OSError, http.client.HTTPException, ValueError, LookupError, TypeError),
        ):
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            body = json.loads(response.read())
            ready = response.status == http.client.OK
            return {"reachable": True, "ready": ready, "last_seq": body["last_seq"]}
        return {"reachable": False, "ready": False, "last_seq": None}


@bp.get("/pipeline")
def show_pipeline() -> Response:
    """Show the state of the pipeline as this worker sees it, at most CACHE_SECONDS old."""
    return jsonify(cast("PerProcess[Callable[[], dict[str, Any]]]", current_app.extensions["pipeline"]).get()())


def init_app(app: Flask) -> None:
    """Give each worker its own view of the pipeline."""
    settings: Settings = app.config["SETTINGS"]
    readiness = cast("PerProcess[Readiness]", app.extensions["readiness"])
    reader = cast("PerProcess[JournalReader]", app.extensions["reader"])
    address = (find_reachable(settings.sidecar_http_host), settings.sidecar_http_port)
    app.extensions["pipeline"] = PerProcess(
        lambda: share(Pipeline(readiness.get(), reader.get(), address).check, CACHE_SECONDS, 1)
    )

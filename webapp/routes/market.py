"""What the page draws: summaries of the journal, and how the pipeline does."""

import contextlib
import http.client
import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Final, cast

import msgspec
from flask import Blueprint, Flask, Response, current_app, jsonify, request

from common.errors import JournalError
from common.journal.block_ranges import BlockRanges
from common.journal.store import Journal
from common.journal.summaries import summarise
from common.process import PerProcess
from common.settings import Settings
from webapp.input.query import read_market
from webapp.reader import JournalReader
from webapp.readiness import Readiness
from webapp.sharing import share

LIMIT_SECONDS: Final = 1.0
"""How long the sidecar may take to answer."""

LOOK_SECONDS: Final = 2.0
"""How long one look at the pipeline serves everybody who asks: a look writes to the journal."""

SUMMARY_SECONDS: Final = 5.0
"""How long one summary serves everybody who asks for the same: of many trades it takes half a second of a core."""

SUMMARIES_LIMIT: Final = 64

bp = Blueprint("market", __name__)


class Pipeline:
    """The way of a trade as this worker sees it: the journal, and the sidecar over HTTP."""

    def __init__(self, readiness: Readiness, ledger: JournalReader, sidecar: tuple[str, int]) -> None:
        """Keep what to look at; nothing is asked yet."""
        self._readiness = readiness
        self._ledger = ledger
        self._sidecar = sidecar

    def look(self) -> dict[str, Any]:
        """Tell whether trades can be accepted, whether they are counted, and how many are not yet."""
        sidecar = self._ask_sidecar()
        try:
            self._readiness.check()
            last_seq = self._ledger.last_seq()
        except JournalError as error:
            web = {"ready": False, "reason": error.reason}
            return {"web": web, "sidecar": sidecar, "last_seq": None, "lag_events": None}
        counted = sidecar["last_seq"]
        lag = None if counted is None else max(0, last_seq - counted)
        web = {"ready": True, "reason": None}
        return {"web": web, "sidecar": sidecar, "last_seq": last_seq, "lag_events": lag}

    def _ask_sidecar(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection(*self._sidecar, timeout=LIMIT_SECONDS)
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


@bp.get("/market")
def show_market() -> Response:
    """Summarise the trades of a window, by symbol, and one symbol's bars."""
    wanted = read_market(request.args)
    summaries = cast("PerProcess[Callable[..., bytes]]", current_app.extensions["summaries"]).get()
    return Response(summaries(**wanted), content_type="application/json")


@bp.get("/pipeline")
def show_pipeline() -> Response:
    """Tell how the way of a trade is, as this worker saw it a moment ago."""
    return jsonify(cast("PerProcess[Callable[[], dict[str, Any]]]", current_app.extensions["pipeline"]).get()())


class Summaries:
    """Summaries of the journal, through a ledger of their own: they take longer than a look-up."""

    def __init__(self, ledger: JournalReader) -> None:
        """Keep the ledger to read from."""
        self._ledger = ledger
        self._blocks = BlockRanges()

    def summarise(self, window: int, step: int, symbol: str | None) -> bytes:
        """Give one summary as JSON; ``window`` and ``step`` in seconds. Raises JournalError."""
        while not self._ledger.ask(self._blocks.step):
            pass
        seconds = timedelta(seconds=window)
        summary = self._ledger.ask(lambda journal: summarise(journal, self._blocks, seconds, symbol, step))
        return msgspec.json.encode(summary) + b"\n"


def init_app(app: Flask) -> None:
    """Give each worker its own sight of the pipeline, and a ledger for summaries, which take longer than a look-up."""
    settings: Settings = app.config["SETTINGS"]
    app.extensions["summaries"] = PerProcess(
        lambda: share(
            Summaries(JournalReader(partial(Journal, settings.journal_path), app.extensions["latch"])).summarise,
            SUMMARY_SECONDS,
            SUMMARIES_LIMIT,
        )
    )
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not bound
    host = everywhere.get(settings.sidecar_http_host, settings.sidecar_http_host)
    readiness = cast("PerProcess[Readiness]", app.extensions["readiness"])
    ledger = cast("PerProcess[JournalReader]", app.extensions["ledger"])
    app.extensions["pipeline"] = PerProcess(
        lambda: share(Pipeline(readiness.get(), ledger.get(), (host, settings.sidecar_http_port)).look, LOOK_SECONDS, 1)
    )

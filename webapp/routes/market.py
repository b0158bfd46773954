"""The market: a summary of the journal over a window."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Final, cast

import msgspec
from flask import Blueprint, Flask, Response, current_app, request

from common.journal.block_ranges import BlockRanges
from common.journal.store import Journal
from common.journal.summaries import summarise
from common.process import PerProcess
from common.settings import Settings
from webapp.input.query import read_market
from webapp.reader import JournalReader
from webapp.sharing import share

CACHE_SECONDS: Final = 5.0
"""How long one summary is shared by requests with the same parameters: one over many trades takes 0.5 s of a core."""

CACHE_SIZE: Final = 64

bp = Blueprint("market", __name__)

# A JSON number keeps every digit for a program that reads it as a decimal.
_encoder = msgspec.json.Encoder(decimal_format="number")


class Summaries:
    """Summaries of the journal, with a reader of their own: they take longer than a look-up."""

    def __init__(self, reader: JournalReader) -> None:
        """Keep the reader."""
        self._reader = reader
        self._blocks = BlockRanges()

    def summarise(self, window: int, step: int, symbol: str | None) -> bytes:
        """Return one summary as JSON; ``window`` and ``step`` in seconds. Raises JournalError."""
        while not self._reader.ask(self._blocks.step):
            pass
        seconds = timedelta(seconds=window)
        summary = self._reader.ask(lambda journal: summarise(journal, self._blocks, seconds, symbol, step))
        return _encoder.encode(summary) + b"\n"


@bp.get("/market")
def show_market() -> Response:
    """Show the totals of a window by symbol, and the bars of one symbol."""
    wanted = read_market(request.args)
    summaries = cast("PerProcess[Callable[..., bytes]]", current_app.extensions["summaries"]).get()
    return Response(summaries(**wanted), content_type="application/json")


def init_app(app: Flask) -> None:
    """Give each worker its summaries."""
    settings: Settings = app.config["SETTINGS"]
    app.extensions["summaries"] = PerProcess(
        lambda: share(
            Summaries(JournalReader(partial(Journal, settings.journal_path), app.extensions["latch"])).summarise,
            CACHE_SECONDS,
            CACHE_SIZE,
        )
    )

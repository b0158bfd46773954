"""The state of the pipeline, which the desk shows."""

from typing import Final

from flask import Blueprint, Response, jsonify

from common.credentials import READ
from webapp.description import JSON, Answer, Content, Description
from webapp.middleware.auth import needs
from webapp.pipeline import PipelineState
from webapp.services import services

bp = Blueprint("pipeline", __name__)


_EXAMPLE: Final[PipelineState] = {
    "age": 0.482,
    "web": {"ready": True, "reason": None},
    "sidecar": {"reachable": True, "ready": True, "last_seq": 1097},
    "last_seq": 1097,
    "lag_events": 0,
    "alerts": [
        {
            "name": "NoTrades",
            "severity": "critical",
            "summary": "The source grid-bot has been silent for 12m 5s or longer.",
            "since": "2026-11-27T12:12:04.042529Z",
            "runbook_url": "http://127.0.0.1:9090/user/runbooks.html#no-trades",
        }
    ],
}


@bp.get("/pipeline")
@needs(READ)
@Description(answers={200: Answer("The state, at most two seconds old", (Content(JSON, PipelineState, _EXAMPLE),))})
def show_pipeline() -> Response:
    """Show the state of the pipeline as this worker sees it."""
    return jsonify(services().pipeline.get().describe())

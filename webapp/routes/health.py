"""Health of this worker: alive, ready to accept a trade, and its process metrics."""

import http
from typing import Final, Literal, TypedDict

from flask import Blueprint, Response, jsonify, request
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from common.accept_header import clean_accept
from common.credentials import READ
from common.errors import JournalError
from webapp.description import JSON, Answer, Content, Description
from webapp.middleware.auth import OPEN, needs
from webapp.middleware.problems import RETRY_AFTER_SECONDS, log_journal_failure, reject
from webapp.services import services

bp = Blueprint("health", __name__)


class Alive(TypedDict):
    """This worker serves."""

    status: Literal["alive"]


class Ready(TypedDict):
    """A trade can be accepted now."""

    status: Literal["ready"]


class NotReady(TypedDict):
    """No trade can be accepted now: ``reason`` is that of the journal."""

    status: Literal["not ready"]
    reason: str
    detail: str


_NOT_READY: Final = NotReady(status="not ready", reason="locked", detail="journal var/journal.db: database is locked")


@bp.get("/healthz")
@needs(OPEN)
@Description(answers={200: Answer("This worker serves", (Content(JSON, Alive, Alive(status="alive")),))})
def show_alive() -> Response:
    """Answer 200 while this worker serves."""
    return jsonify(Alive(status="alive"))


@bp.get("/readyz")
@needs(OPEN)
@Description(
    answers={
        200: Answer("A trade can be accepted now", (Content(JSON, Ready, Ready(status="ready")),)),
        503: Answer("No trade can be accepted now", (Content(JSON, NotReady, _NOT_READY),)),
    }
)
def show_ready() -> Response:
    """Answer 200 when a trade can be accepted now, else 503 with the reason."""
    try:
        services().readiness.check()
    except JournalError as error:
        log_journal_failure(error)
        reject(f"journal_{error.reason}")
        response = jsonify(NotReady(status="not ready", reason=error.reason, detail=error.detail))
        response.status_code = http.HTTPStatus.SERVICE_UNAVAILABLE
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response
    return jsonify(Ready(status="ready"))


@bp.get("/metrics")
@needs(READ)
@Description(
    answers={
        200: Answer(
            "The metrics, in the format that `Accept` asks for",
            (Content("text/plain"), Content("application/openmetrics-text")),
        )
    }
)
def expose_process() -> Response:
    """Expose the process metrics of the worker that answers; the sidecar exposes all totals."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    encode, content_type = choose_encoder(clean_accept(request.headers.get("Accept")))
    return Response(encode(registry), content_type=content_type)

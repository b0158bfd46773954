"""The state of the pipeline, which the desk shows."""

from flask import Blueprint, Response, jsonify

from common.credentials import READ
from webapp.middleware.auth import needs
from webapp.services import services

bp = Blueprint("pipeline", __name__)


@bp.get("/pipeline")
@needs(READ)
def show_pipeline() -> Response:
    """Show the state of the pipeline as this worker sees it."""
    return jsonify(services().pipeline.get().describe())

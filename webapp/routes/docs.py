"""The description of the API: the OpenAPI document, and a page made of it."""

import json
from typing import Any

from flask import Blueprint, Response, jsonify, make_response, render_template, request
from markupsafe import Markup

from common.credentials import READ
from webapp.description import JSON, PAGE, Answer, Content, Description
from webapp.middleware.auth import needs
from webapp.reasons import COMMON_REASONS, ROUTE_REASONS
from webapp.services import services

bp = Blueprint("docs", __name__)


@bp.get("/openapi.json")
@needs(READ)
@Description(answers={200: Answer("The document", (Content(JSON, dict[str, Any], {"openapi": "3.1.0"}),))})
def send_document() -> Response:
    """Send the description of this API as OpenAPI 3.1."""
    # Behind a proxy the paths may have a prefix.
    return jsonify(services().read_document() | {"servers": [{"url": request.script_root or "/"}]})


@bp.get("/docs")
@needs(READ)
@Description(answers={200: Answer("The page", (PAGE,))})
def show_docs() -> Response:
    """Show the description of this API as a page."""
    page = render_template(
        "docs/index.html",
        document=services().read_document(),
        route_reasons=ROUTE_REASONS,
        common_reasons=COMMON_REASONS,
    )
    return make_response(page)


@bp.app_template_filter("marked")
def mark_code(text: str) -> Markup:
    """Write a text of Markdown whose only marks are those of code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if odd % 2 else part for odd, part in enumerate(parts)
    )


@bp.app_template_filter("as_json")
def write_json(value: object) -> str:
    """Write an example as people read it; ``tojson`` would escape its text for a script."""
    return json.dumps(value, ensure_ascii=False, indent=2)

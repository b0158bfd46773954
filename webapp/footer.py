"""The footer of every page: the version, and links to the other parts."""

from typing import Any

from flask import Flask, request

from common import __version__
from common.links import find_links
from common.settings import Settings


def init_app(app: Flask) -> None:
    """Give the version, the links, and whether access is unprotected to all templates."""
    settings: Settings = app.config["SETTINGS"]

    def describe() -> dict[str, Any]:
        return {
            "unprotected": settings.auth == "off",
            "version": __version__,
            "links": find_links(settings, "Desk", request.headers.get("Host", "")),
        }

    app.context_processor(describe)

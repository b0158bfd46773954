"""Which other origins may use the trade API from a browser: those that WEBAPP_CORS_ORIGINS names, by default none."""

import re

from flask import Flask
from flask_cors import CORS

from common.settings import Settings


def _match(origin: str) -> str | re.Pattern[str]:
    # flask-cors takes some origins, such as http://[::1]:3000, for patterns.
    return origin if origin == "*" else re.compile(re.escape(origin) + r"\Z")


def init_app(app: Flask) -> None:
    """Allow the origins of the settings on the trade API, never on the page."""
    settings: Settings = app.config["SETTINGS"]
    # flask-cors reads an empty list as "every origin".
    if settings.webapp_cors_origins:
        CORS(
            app,
            resources={r"/trades?(/.*)?$": {"origins": [_match(origin) for origin in settings.webapp_cors_origins]}},
            methods=["GET", "POST"],
            allow_headers=["Content-Type", "Idempotency-Key", "X-Request-ID"],
            expose_headers=["Idempotent-Replayed", "Location", "Retry-After", "X-Request-ID"],
        )

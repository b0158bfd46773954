"""CORS: the origins in WEBAPP_CORS_ORIGINS may use the trade API from a browser; by default none."""

import re

from flask import Flask
from flask_cors import CORS

from common.settings import Settings


def _match(origin: str) -> str | re.Pattern[str]:
    # flask-cors treats some origins, such as http://[::1]:3000, as patterns.
    return origin if origin == "*" else re.compile(re.escape(origin) + r"\Z")


def init_app(app: Flask) -> None:
    """Allow the origins of the settings on the trade API, never on the pages."""
    settings: Settings = app.config["SETTINGS"]
    if settings.webapp_cors_origins:
        CORS(
            app,
            resources={r"/trades?(/.*)?$": {"origins": [_match(origin) for origin in settings.webapp_cors_origins]}},
            methods=["GET", "POST"],
            # Of credentials a token only: its page has it, while a browser would send a cookie by itself.
            allow_headers=[
                "Authorization",
                "Content-Encoding",
                "Content-Type",
                "Idempotency-Key",
                "Prefer",
                "X-Request-ID",
            ],
            expose_headers=["Idempotent-Replayed", "Location", "Retry-After", "X-Request-ID"],
        )

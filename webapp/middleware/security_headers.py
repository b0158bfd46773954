"""Security headers of every response."""

from typing import Final

from flask import Flask, Response, request

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Those of every response."""

NOT_STORED: Final = ("Cache-Control", "no-store")
"""That of every response but scripts and styles."""

_YEAR_SECONDS: Final = 365 * 24 * 60 * 60


def _add(response: Response) -> Response:
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = f"max-age={_YEAR_SECONDS}"
    for name, value in HEADERS.items():
        response.headers[name] = value
    if response.mimetype != "text/css" and "javascript" not in (response.mimetype or ""):
        response.headers.setdefault(*NOT_STORED)
    return response


def init_app(app: Flask) -> None:
    """Add the headers to every response."""
    app.after_request(_add)

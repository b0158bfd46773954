"""JSON as a page: what programs read is shown to browsers, which ask for text/html, below the header of every page."""

from typing import Final

import msgspec
from flask import Flask, Response, render_template, request

from webapp.middleware.problems import prefers_html

SHOWN_BYTES: Final = 512 * 1024
"""The longest answer that is shown as a page."""


def _show(response: Response) -> Response:
    if request.method != "GET" or response.mimetype != "application/json" or request.endpoint is None:
        return response
    response.vary.add("Accept")
    is_file = response.is_streamed or "Content-Disposition" in response.headers or request.path.endswith(".json")
    if is_file or not prefers_html() or len(response.get_data()) > SHOWN_BYTES:
        return response
    # Only its white space changes: a float could not hold each number.
    body = msgspec.json.format(response.get_data(), indent=2).decode()
    response.set_data(render_template("json.html", body=body))
    response.mimetype = "text/html"
    return response


def init_app(app: Flask) -> None:
    """Show the answers of JSON routes to browsers as pages."""
    app.after_request(_show)

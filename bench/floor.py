"""The floor for accepting: a Flask endpoint that does nothing."""

from flask import Flask, Response

app = Flask(__name__)


@app.post("/trade")
def answer() -> Response:
    """Answer 201 with a fixed body."""
    return Response(b'{"seq":1}\n', 201, content_type="application/json")

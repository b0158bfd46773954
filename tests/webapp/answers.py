"""A server that answers each path with what another program would."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    """Answers 200 with the value of a path, as JSON if it is no text; a pair has a status too."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = answers
        super().__init__(("127.0.0.1", 0), _Answer)


class _Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        found = self.server.answers.get(self.path.partition("?")[0])
        status, body = (404, "") if found is None else found if isinstance(found, tuple) else (200, found)
        self.send_response(status)
        self.end_headers()
        self.wfile.write((body if isinstance(body, str) else json.dumps(body)).encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(answers: Mapping[str, Any]) -> Iterator[int]:
    with Server(answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()

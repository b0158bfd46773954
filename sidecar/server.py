"""The sidecar's HTTP: metrics, health and a landing page."""

import errno
import json
import socketserver
from collections.abc import Callable, Iterable
from html import escape
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app

from tape import __version__
from tape.errors import AddressError

CLIENT_SECONDS: Final = 10
"""How long a client may keep a thread waiting for the rest of its request."""

_LANDING = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Sidecar · Trading Telemetry</title></head>
<body>
<h1>Trading Telemetry sidecar</h1>
<p>Version {version}. It counts each accepted trade once.</p>
<ul>
<li><a href="/metrics">Metrics</a>, for Prometheus; OpenMetrics when asked for</li>
<li><a href="/healthz">Alive</a></li>
<li><a href="/readyz">Ready</a>: caught up with the journal and counting</li>
</ul>
</body>
</html>
"""

Check = Callable[[], str | None]
"""Gives what is wrong, or None when all is well."""

ChooseRegistry = Callable[[str | None], CollectorRegistry]
"""Gives the registry for a scraper by its name; None is anybody else."""


def make_app(
    choose_registry: ChooseRegistry,
    check_alive: Check,
    check_ready: Check,
    tell_last_seq: Callable[[], int] = lambda: 0,
) -> WSGIApplication:
    """Make the WSGI application over a registry for each scraper, two checks, and the newest seq counted."""
    landing = _LANDING.format(version=escape(__version__)).encode()

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        route = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "GET":
            return _answer(start_response, "405 Method Not Allowed", "text/plain", b"expected GET\n")
        match route:
            case "/metrics":
                metrics: WSGIApplication = make_wsgi_app(choose_registry(_name_scraper(environ)))
                return metrics(environ, start_response)
            case "/":
                return _answer(start_response, "200 OK", "text/html; charset=utf-8", landing)
            case "/healthz":
                return _answer_check(start_response, "alive", check_alive())
            case "/readyz":
                return _answer_check(start_response, "ready", check_ready(), last_seq=tell_last_seq())
        return _answer(start_response, "404 Not Found", "text/plain", b"expected /, /metrics, /healthz or /readyz\n")

    return answer


def _name_scraper(environ: WSGIEnvironment) -> str | None:
    # Only Prometheus sends this header, and only Prometheus must be told how a series began.
    if "HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS" not in environ:
        return None
    return f"{environ.get('REMOTE_ADDR', '')} {environ.get('HTTP_USER_AGENT', '')}"


def _answer_check(start_response: StartResponse, word: str, wrong: str | None, **more: int) -> Iterable[bytes]:
    status = "200 OK" if wrong is None else "503 Service Unavailable"
    body = {"status": word} if wrong is None else {"status": f"not {word}", "detail": wrong}
    return _answer(start_response, status, "application/json", json.dumps(body | more).encode() + b"\n")


def _answer(start_response: StartResponse, status: str, kind: str, body: bytes) -> Iterable[bytes]:
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")])
    return [body]


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_SECONDS

    def log_message(self, *_: object) -> None:
        """Say nothing: a scrape every few seconds is no news."""


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """Bound when made, so that a port in use is known at the start; deaf until ``open`` is called."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int) -> None:
        """Bind the address. Raises AddressError, in one line, when it is in use or cannot be bound."""
        super().__init__((host, port), _Handler, bind_and_activate=False)
        try:
            self.server_bind()
        except OSError as error:
            self.server_close()
            why = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
            raise AddressError("address", f"cannot bind http://{host}:{port}: {why}") from error

    def server_bind(self) -> None:
        """Bind without the name look-up of the standard library, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def open(self, app: WSGIApplication) -> None:
        """Begin to listen, and answer with ``app`` once ``serve_forever`` runs."""
        self.set_app(app)
        self.server_activate()

    def handle_error(self, *_: Any) -> None:  # noqa: ANN401 - as the standard library has it
        """Let a client go that went away or was too slow."""

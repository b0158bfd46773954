"""How gunicorn runs the web process. Read by gunicorn itself; the settings stand in docs/settings.md."""

import os
import socket
import sys
from typing import Any

from common.errors import BadSettingError, JournalError
from common.journal.store import Journal
from common.logs import describe_logging
from common.settings import Settings
from webapp.publisher import close_publisher
from webapp.reporting import end_reporting, start_reporting
from webapp.server.connections import find_connection_limit

try:
    _settings = Settings.from_env()
    _settings.require_secret_key()
    _connections = find_connection_limit(_settings.feed_max_clients)
except BadSettingError as error:
    sys.stderr.write(f"web cannot start: {error}\n")
    raise SystemExit(1) from None

# Said outright, since honcho sets PORT and gunicorn would then listen on every interface.
bind = _settings.write_webapp_address()
worker_class = "webapp.server.worker.Worker"
# At so many gunicorn stops accepting; the worker rejects what is more than its limit before that.
worker_connections = _connections + 1
# Files go the way of all answers, which has a deadline.
sendfile = False
# No proxy is believed: gunicorn trusts those on loopback by default, and takes SCRIPT_NAME from them.
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
# Long enough for every filter of the blotter, and for the cookies of other programs on this host.
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
workers = _settings.web_concurrency
graceful_timeout = 3
# Longer than bots and proxies keep an idle connection: whoever closes it first must not be the server.
keepalive = 75
control_socket_disable = True
accesslog = None
logconfig_dict = describe_logging("web", _settings.log_level)
logconfig_dict["loggers"] = {
    # gunicorn gives its logger a handler and a format of its own.
    "gunicorn.error": {"level": _settings.log_level, "handlers": [], "propagate": True},
    # The access line says that a form was refused; flask-wtf would say it again, without the request id.
    "flask_wtf.csrf": {"level": "WARNING"},
}


def on_starting(server: Any) -> None:  # noqa: ANN401 - gunicorn's arbiter is not typed
    """Say in one line why it cannot start, before any worker: for the address gunicorn would try five times."""
    try:
        # Closed again before the first fork. Without a journal the first trade makes one.
        if _settings.journal_path.exists():
            Journal(_settings.journal_path).close()
    except JournalError as error:
        # Other failures may pass while the workers answer 503.
        if error.reason in {"in_use", "symlink", "version"}:
            server.log.error("cannot start: %s", error.detail)  # noqa: TRY400 - one line
            raise SystemExit(1) from None
    if "GUNICORN_FD" in os.environ or "LISTEN_FDS" in os.environ:
        return
    family = socket.AF_INET6 if ":" in _settings.webapp_http_host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_settings.webapp_http_host, _settings.webapp_http_port))
        except OSError as error:
            server.log.error("cannot bind http://%s: %s", bind, error.strerror)  # noqa: TRY400 - one line
            raise SystemExit(1) from None


def post_worker_init(worker: Any) -> None:  # noqa: ANN401 - gunicorn's worker is not typed
    """Let each worker tell what it does from its first moment, and its feeds know when it stops."""
    worker.app.callable.extensions["is_stopping"] = lambda: not worker.alive
    start_reporting(worker.app.callable)


def worker_exit(_server: object, worker: Any) -> None:  # noqa: ANN401 - gunicorn's worker is not typed
    """Let a worker that ends say its last words, and the hints in its queue go out."""
    app = worker.app.callable
    if app is not None:
        end_reporting(app)
        close_publisher(app)

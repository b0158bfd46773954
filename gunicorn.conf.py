"""The configuration of gunicorn for the web process; its settings are in docs/settings.md."""

import gc
import logging
import os
import socket
import sys
from typing import Any

from common.allocator import share_arena
from common.errors import BadSettingError, JournalError
from common.journal.credentials import has_credentials
from common.journal.store import Journal
from common.logs import describe_logging
from common.settings import Settings
from common.supervisor import find_supervisor
from webapp.attempts import share_attempts
from webapp.reporting import end_reporting, start_reporting
from webapp.server.connections import find_connection_limit
from webapp.server.safety import find_danger
from webapp.services import services

share_arena()
try:
    _settings = Settings.from_env()
    _settings.require_secret_key()
    _settings.read_sidecar_token()
    _connections = find_connection_limit(_settings.feed_max_clients)
    # Here, in the master: its workers inherit what it finds, and check it.
    find_supervisor()
    # Before the fork, so that the workers share it. A reload reads this file again, and keeps the table.
    _attempts = share_attempts()
except BadSettingError as error:
    sys.stderr.write(f"web cannot start: {error}\n")
    raise SystemExit(1) from None

# Explicit, since honcho sets PORT and gunicorn would then listen on every interface.
bind = _settings.write_webapp_address()
worker_class = "webapp.server.worker.Worker"
logger_class = "webapp.server.worker.ServerLog"
# At this number gunicorn stops accepting; the worker rejects connections above its own limit before that.
worker_connections = _connections + 1
# Files are sent like all responses, under a deadline.
sendfile = False
# No proxy is trusted: by default gunicorn trusts those on loopback, and takes SCRIPT_NAME from them.
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
# Long enough for all filters of the blotter, and for the cookies of other programs on this host.
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
workers = _settings.web_concurrency
graceful_timeout = 3
# Longer than clients and proxies keep an idle connection, so that they close it and not the server.
keepalive = 75
control_socket_disable = True
accesslog = None
# No line has them, and to look them up for each one takes as long as to write it (Python: logging, optimization).
logging.logThreads = logging.logMultiprocessing = False
logging._srcfile = None  # noqa: SLF001 - as Python documents it
logconfig_dict = describe_logging("web", _settings.log_level)
logconfig_dict["loggers"] = {
    # gunicorn gives this logger its own handler and format. At DEBUG it would log each path, and that of a webhook has
    # a token.
    "gunicorn.error": {
        "level": "INFO" if _settings.log_level == "DEBUG" else _settings.log_level,
        "handlers": [],
        "propagate": True,
    },
    # The access log has the rejection; flask-wtf would log it again, without the request id.
    "flask_wtf.csrf": {"level": "WARNING"},
}


def on_starting(server: Any) -> None:  # noqa: ANN401 - gunicorn's arbiter is not typed
    """Stop with one log line when the journal or the address cannot be used; gunicorn would retry the address."""
    try:
        # Closed before the first fork. Without a journal, the first trade creates one.
        if _settings.journal_path.exists():
            Journal(_settings.journal_path).open().close()
    except JournalError as error:
        # Other failures may be temporary; the workers answer 503 meanwhile.
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


def when_ready(server: Any) -> None:  # noqa: ANN401 - gunicorn's arbiter is not typed
    """Stop with one log line when other hosts could reach the server without a credential; no worker runs yet."""
    listeners = [listener.sock for listener in server.LISTENERS]
    danger = find_danger(_settings, listeners, has_credentials=_has_credentials())
    if danger is not None:
        server.log.error("cannot start: %s", danger)
        raise SystemExit(1)


def _has_credentials() -> bool:
    if not _settings.journal_path.exists():
        return False
    try:
        with Journal(_settings.journal_path) as journal:
            return has_credentials(journal)
    except JournalError:
        # The workers ask again, and reject every request until they know.
        return False


def post_worker_init(worker: Any) -> None:  # noqa: ANN401 - gunicorn's worker is not typed
    """Start reporting, and let the feeds see when the worker stops."""
    mine = services(worker.app.callable)
    mine.attempts = _attempts
    mine.is_stopping = lambda: not worker.alive
    start_reporting(mine)
    # What is loaded by now stays: a collection then looks only at what requests leave.
    gc.freeze()


def worker_exit(_server: object, worker: Any) -> None:  # noqa: ANN401 - gunicorn's worker is not typed
    """Send the final totals of a worker and the hints in its queue."""
    app = worker.app.callable
    if app is not None:
        mine = services(app)
        end_reporting(mine)
        mine.close()

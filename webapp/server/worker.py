"""The gunicorn worker of the web process: the gevent worker, with limits and deadlines for connections."""

import errno
import logging
import os
import signal
import socket
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache, partial
from typing import Any, Final

from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from gunicorn.http import wsgi  # type: ignore[import-untyped]
from gunicorn.workers.ggevent import GeventWorker  # type: ignore[import-untyped]

from common.supervisor import POLL_SECONDS, find_supervisor
from webapp.clients import Proxies
from webapp.concurrency import every
from webapp.middleware.access_log import UNMATCHED
from webapp.server.connections import Address, Connections
from webapp.server.deadlines import DeadlineSocket
from webapp.server.malformed import MalformedRequests, describe
from webapp.services import services

_DRAIN_BYTES: Final = 64 * 1024
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_SECONDS: Final = 0.1

_log = logging.getLogger(__name__)


class Server(StreamServer):
    """Accepts every connection, and rejects those above the limits at once instead of leaving them in the backlog."""

    def __init__(self, listener: socket.socket, pool: Pool, worker: "Worker") -> None:
        """Serve with ``worker.handle``, like gunicorn's own server."""
        self._connections = worker.connections
        self._end_idle = worker.end_idle
        self._spare: int | None = None
        self._keep_spare()
        super().__init__(listener, handle=partial(worker.handle, listener), spawn=pool)

    def do_read(self) -> tuple[socket.socket, Address] | None:  # type: ignore[override] # gevent returns None too
        """Accept one connection; without a free file descriptor, reject it and return None."""
        if self._spare is None:
            self._keep_spare()
        try:
            return super().do_read()
        except OSError as error:
            if error.errno in self.fatal_errors:
                raise
            if error.errno in _EXHAUSTED:
                self._reject_with_spare()
            # Other errors are of a connection that was closed before it was accepted.
            return None

    def do_handle(self, client: socket.socket, address: Address) -> None:
        """Serve a connection, or reject it above the limits."""
        if self._connections.admit(client, address):
            super().do_handle(client, address)
        else:
            client.close()

    def do_close(self, client: socket.socket, address: Address) -> None:
        """Close a connection that was served."""
        super().do_close(client, address)
        self._connections.release(address)

    def close(self) -> None:
        """Stop accepting, and close idle connections, so that their clients do not send another request on them."""
        super().close()
        self._end_idle()

    def _reject_with_spare(self) -> None:
        """Accept a connection with the spare file descriptor, answer it, and close it."""
        if self._spare is not None:
            _close(self._spare)
            self._spare = None
        try:
            accepted = super().do_read()
        except OSError:
            # Another process took the descriptor. Pause accepting: retrying at once would only use the processor.
            self.stop_accepting()
            self._timer = self.loop.timer(_PAUSE_SECONDS)
            self._timer.start(self._start_accepting_if_started)  # type: ignore[attr-defined,call-arg] # as in gevent
        else:
            if accepted is not None:
                client, address = accepted
                self._connections.reject_for_descriptors(client, address)
                _close(client.detach())
        self._keep_spare()

    def _keep_spare(self) -> None:
        with suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def _close(descriptor: int) -> None:
    # Immediately: gevent delays os.close and the close of its sockets to the next iteration of its loop.
    os.closerange(descriptor, descriptor + 1)


def _stop_with_supervisor(master: int) -> None:
    if find_supervisor().has_ended():
        _log.warning("supervisor has ended; stopping")
        # The master ends all workers; SIGHUP, which a closed terminal sends, would only reload them.
        with suppress(ProcessLookupError):
            os.kill(master, signal.SIGTERM)


class ServerLog(Logger):  # type: ignore[misc] # gunicorn's classes are not typed
    """gunicorn's log without its access lines, which it would format also while ``accesslog`` is off."""

    def access(self, *_: object) -> None:
        """Leave it to webapp/middleware/access_log.py."""


class KeptConfig:
    """gunicorn's configuration, each setting looked up once: its own look-ups are some twenty for each request."""

    def __init__(self, config: Any) -> None:  # noqa: ANN401 - gunicorn's configuration is not typed
        """Keep the configuration, which does not change while a worker runs."""
        self._config = config

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the type of a setting
        """Return a setting, or a method, that was not looked up before."""
        value = getattr(self._config, name)
        setattr(self, name, value)
        return value


class Worker(GeventWorker):  # type: ignore[misc] # gunicorn's workers are not typed
    """A gevent worker with deadlines for each connection, and limits for all."""

    cfg: Any
    connections: Connections
    body_timeout: float
    malformed: MalformedRequests
    clients: set[DeadlineSocket]

    def run(self) -> None:
        """Serve until the worker stops."""
        self.cfg = KeptConfig(self.cfg)
        # gunicorn makes one for each request, and each looks for the handlers of its log, under a lock.
        wsgi.WSGIErrorsWrapper = cache(wsgi.WSGIErrorsWrapper)
        mine = services(self.app.callable)
        self.body_timeout = mine.settings.body_timeout
        # One below the size of gunicorn's pool: a full pool would accept, and so reject, nothing.
        proxies = Proxies(mine.settings.trusted_proxies)
        self.connections = Connections(self.worker_connections - 1, mine.metrics, proxies=proxies)
        self.malformed = MalformedRequests(mine.metrics)
        self.clients = set()
        every(POLL_SECONDS, partial(_stop_with_supervisor, self.ppid))
        super().run()

    def handle_error(self, req: Any, client: Any, addr: Address, exc: BaseException) -> None:  # noqa: ANN401 - gunicorn is not typed
        """Answer a malformed request; any other error is a bug, which gunicorn logs."""
        problem = describe(exc)
        if problem is None:
            if req is not None:
                # gunicorn logs the URI with the error, and a path may have a token in it.
                req.uri = UNMATCHED
            super().handle_error(req, client, addr, exc)
        else:
            self.malformed.answer(problem, client, addr)

    def server_class(self, listener: socket.socket, *, spawn: Pool, **_: object) -> Server:
        """Create the server of one listener."""
        server = Server(listener, spawn, self)
        if self.cfg.workers > 1:
            server.max_accept = 1
        return server

    def end_idle(self) -> None:
        """Close the connections that are waiting for another request."""
        for sock in list(self.clients):
            sock.end_idle()

    def timeout_ctx(self) -> AbstractContextManager[None]:
        """Disable gunicorn's timeout of requests; the sockets have deadlines."""
        return nullcontext()

    def handle(self, listener: socket.socket, client: socket.socket, addr: Address) -> None:
        """Serve one connection."""
        drop = partial(self.connections.drop, address=addr)
        sock = DeadlineSocket(client, self.body_timeout, self.cfg.keepalive, drop)
        self.clients.add(sock)
        try:
            super().handle(listener, sock, addr)
        finally:
            self.clients.discard(sock)

    def handle_request(self, listener_name: object, req: Any, sock: DeadlineSocket, addr: Address) -> None:  # noqa: ANN401 - gunicorn's request is not typed
        """Serve one request, then read the rest of its body, which precedes the next request."""
        sock.expect_body(req.force_close)
        try:
            super().handle_request(listener_name, req, sock, addr)
        finally:
            sock.end_answer()
        try:
            while req.body.read(_DRAIN_BYTES):
                pass
        except Exception:  # noqa: BLE001 - the request was answered, and no other can follow a broken body
            raise StopIteration from None
        sock.expect_request()

"""The gunicorn worker of the web process: gevent's, with bounds on what clients may hold."""

import errno
import os
import socket
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any, Final, cast

from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.workers.ggevent import GeventWorker  # type: ignore[import-untyped]

from common.process import PerProcess
from common.settings import Settings
from webapp.server.connections import Address, Connections
from webapp.server.deadlines import DeadlineSocket
from webapp.server.malformed import MalformedRequests, describe
from webapp.worker_metrics import WorkerMetrics

_DRAIN_BYTES: Final = 64 * 1024
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_SECONDS: Final = 0.1


class Server(StreamServer):
    """Accepts what the limits admit and rejects the rest at once: what is left in the kernel's queue only hangs."""

    def __init__(self, listener: socket.socket, pool: Pool, worker: "Worker") -> None:
        """Serve by ``worker.handle``, as gunicorn's own server does."""
        self._connections = worker.connections
        self._end_idle = worker.end_idle
        self._spare: int | None = None
        self._keep_spare()
        super().__init__(listener, handle=partial(worker.handle, listener), spawn=pool)

    def do_read(self) -> tuple[socket.socket, Address] | None:  # type: ignore[override] # gevent gives None too
        """Accept one connection; one that no file descriptor is left for is rejected, and None given."""
        if self._spare is None:
            self._keep_spare()
        try:
            return super().do_read()
        except OSError as error:
            if error.errno in self.fatal_errors:
                raise
            if error.errno in _EXHAUSTED:
                self._shed()
            # Anything else is the fault of the connection, which was gone before it was accepted.
            return None

    def do_handle(self, client: socket.socket, address: Address) -> None:
        """Serve a connection, unless there are too many."""
        if self._connections.admit(client, address):
            super().do_handle(client, address)
        else:
            client.close()

    def do_close(self, client: socket.socket, address: Address) -> None:
        """Close a connection that was served."""
        super().do_close(client, address)
        self._connections.release(address)

    def close(self) -> None:
        """Accept no more; a client that asks nothing just now is closed too, and sees that before it asks again."""
        super().close()
        self._end_idle()

    def _shed(self) -> None:
        """Use the spare descriptor to accept a connection, and close it."""
        if self._spare is not None:
            _close(self._spare)
            self._spare = None
        try:
            accepted = super().do_read()
        except OSError:
            # Another process took it, so those that wait must: asking again at once would only burn the processor.
            self.stop_accepting()
            self._timer = self.loop.timer(_PAUSE_SECONDS)
            self._timer.start(self._start_accepting_if_started)  # type: ignore[attr-defined,call-arg] # as gevent does
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
    # At once: gevent puts off os.close and the closing of its sockets until its loop has turned.
    os.closerange(descriptor, descriptor + 1)


class Worker(GeventWorker):  # type: ignore[misc] # gunicorn's workers are not typed
    """Gives each connection its deadlines, and all of them their limits."""

    connections: Connections
    malformed: MalformedRequests
    clients: set[DeadlineSocket]

    def run(self) -> None:
        """Serve until told to stop."""
        measures = cast("PerProcess[WorkerMetrics]", self.app.callable.extensions["measures"]).get()
        # gunicorn's pool takes one more: were it full, nothing would be accepted, and so nothing rejected.
        self.connections = Connections(self.worker_connections - 1, measures)
        self.malformed = MalformedRequests(measures)
        self.clients = set()
        super().run()

    def handle_error(self, req: Any, client: Any, addr: Address, exc: BaseException) -> None:  # noqa: ANN401 - gunicorn is not typed
        """Answer a request that could not be read; anything else is a bug, which gunicorn logs."""
        found = describe(exc)
        if found is None:
            super().handle_error(req, client, addr, exc)
        else:
            self.malformed.answer(found, client, addr)

    def server_class(self, listener: socket.socket, *, spawn: Pool, **_: object) -> Server:
        """Make the server of one listener."""
        server = Server(listener, spawn, self)
        if self.cfg.workers > 1:
            server.max_accept = 1
        return server

    def end_idle(self) -> None:
        """End the connections that ask nothing just now."""
        for sock in list(self.clients):
            sock.end_idle()

    def timeout_ctx(self) -> AbstractContextManager[None]:
        """Leave it to the socket how long a request may take to come."""
        return nullcontext()

    def handle(self, listener: socket.socket, client: socket.socket, addr: Address) -> None:
        """Serve one connection."""
        settings: Settings = self.app.callable.config["SETTINGS"]
        drop = partial(self.connections.drop, address=addr)
        sock = DeadlineSocket(client, settings.body_timeout, self.cfg.keepalive, drop)
        self.clients.add(sock)
        try:
            super().handle(listener, sock, addr)
        finally:
            self.clients.discard(sock)

    def handle_request(self, listener_name: object, req: Any, sock: DeadlineSocket, addr: Address) -> None:  # noqa: ANN401 - gunicorn's request is not typed
        """Serve one request, and read what the application left of its body: the next request stands behind it."""
        sock.expect_body(req.force_close)
        super().handle_request(listener_name, req, sock, addr)
        try:
            while req.body.read(_DRAIN_BYTES):
                pass
        except Exception:  # noqa: BLE001 - whatever is wrong with it, it was answered, and nothing can follow
            raise StopIteration from None
        sock.expect_request()

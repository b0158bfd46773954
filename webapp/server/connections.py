"""Connections: limits on the connections of a worker, in all and per address, and rejections above them."""

import json
import logging
import resource
import socket
from collections import Counter
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from uuid_utils import uuid7

from common.errors import BadSettingError
from common.throttle import Throttle
from webapp.clients import Proxies
from webapp.worker_metrics import WorkerMetrics

CONNECTIONS_MAX: Final = 4000
"""The most connections of one worker, if it has enough file descriptors."""

ADDRESS_MAX: Final = 100
"""The most connections of one worker from one address: a browser opens six, and one more for each open page."""

OWN_DESCRIPTORS: Final = 40
"""File descriptors reserved for the worker itself: journal, ZeroMQ, event loop, threads, static files."""

_CONNECTIONS_MIN: Final = 8
_DESCRIPTORS_WANTED: Final = 65_536
_TRY_AGAIN: Final = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)

_log = logging.getLogger(__name__)

Address = tuple[str, int] | tuple[str, int, int, int] | str | bytes


def find_connection_limit(feed_max_clients: int) -> int:
    """Raise the soft limit of file descriptors as far as allowed, and return the highest number of connections.

    Raises BadSettingError when it is too low to serve requests.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _DESCRIPTORS_WANTED:
        unlimited = hard == resource.RLIM_INFINITY
        soft = _DESCRIPTORS_WANTED if unlimited else max(soft, min(hard, _DESCRIPTORS_WANTED))
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = max(CONNECTIONS_MAX, feed_max_clients + ADDRESS_MAX)
    if soft != resource.RLIM_INFINITY:
        limit = min(limit, soft - OWN_DESCRIPTORS)
    if limit < _CONNECTIONS_MIN:
        expected = f"{OWN_DESCRIPTORS + _CONNECTIONS_MIN} file descriptors or more"
        raise BadSettingError("ulimit -n", str(soft), expected)
    return limit


class Connections:
    """The open connections of one worker."""

    def __init__(
        self,
        limit: int,
        metrics: WorkerMetrics,
        address_limit: int = ADDRESS_MAX,
        proxies: Proxies | None = None,
    ) -> None:
        """Allow ``limit`` connections, and ``address_limit`` of one site; those of proxies have no site."""
        self.limit = limit
        self._metrics = metrics
        self._address_limit = address_limit
        self._proxies = proxies or Proxies()
        self._open = 0
        self._by_site: Counter[str] = Counter()
        self._throttle = Throttle()

    def admit(self, client: socket.socket, address: Address) -> bool:
        """Count a new connection, or reject it."""
        site = self._find_site(address)
        if self._open >= self.limit:
            detail = f"This worker has {self.limit} connections, its limit. Try again in a moment."
            self._reject(client, address, HTTPStatus.SERVICE_UNAVAILABLE, "worker_limit", detail)
            return False
        if site is not None:
            if self._by_site[site] >= self._address_limit:
                detail = f"Your address has {self._address_limit} connections to this worker, the limit."
                self._reject(client, address, HTTPStatus.TOO_MANY_REQUESTS, "address_limit", detail)
                return False
            self._by_site[site] += 1
        self._open += 1
        self._metrics.connections.set(self._open)
        return True

    def reject_for_descriptors(self, client: socket.socket, address: Address) -> None:
        """Reject a connection that has taken the last file descriptor."""
        detail = "This worker has no free file descriptor. Try again in a moment."
        self._reject(client, address, HTTPStatus.SERVICE_UNAVAILABLE, "file_descriptors", detail)

    def release(self, address: Address) -> None:
        """Count an admitted connection as closed."""
        site = self._find_site(address)
        if site is not None:
            self._by_site[site] -= 1
            if not self._by_site[site]:
                del self._by_site[site]
        self._open -= 1
        self._metrics.connections.set(self._open)

    def drop(self, reason: str, address: Address) -> None:
        """Count one rejected or closed connection, and log it at a limited rate."""
        self._metrics.connection_drops.labels(reason).inc()
        count = self._throttle.take(reason)
        if count:
            shown = address[0] if isinstance(address, tuple) else ""
            extra = {"reason": reason, "client": shown, "count": count, "connections": self._open}
            _log.warning("connection dropped", extra=extra)

    def _find_site(self, address: Address) -> str | None:
        return self._proxies.find_site(address[0]) if isinstance(address, tuple) else None

    def _reject(self, client: socket.socket, address: Address, status: HTTPStatus, reason: str, detail: str) -> None:
        self.drop(reason, address)
        reject(client, status, reason, detail)


def reject(client: socket.socket, status: HTTPStatus, reason: str, detail: str) -> str:
    """Send a problem without reading a request or waiting for the client, and end the connection.

    Returns the id of the request.
    """
    request_id = str(uuid7())
    problem = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status,
        "detail": detail,
        "reason": reason,
        "request_id": request_id,
    }
    body = json.dumps(problem).encode() + b"\n"
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Connection: close",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        f"X-Request-ID: {request_id}",
        "X-Content-Type-Options: nosniff",
        *(["Retry-After: 1"] if status in _TRY_AGAIN else []),
    ]
    client.settimeout(0)
    with suppress(OSError):
        # Unread data would make the kernel reset the connection, and the client might miss the answer.
        client.recv(64 * 1024)
    with suppress(OSError):
        client.send("\r\n".join([*lines, "", ""]).encode() + body)
        client.shutdown(socket.SHUT_WR)
    return request_id

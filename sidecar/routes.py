"""The routes of the sidecar's HTTP: metrics, positions, health and a landing page."""

import gzip
import hmac
import http
import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.message import Message
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, gzip_accepted

from common.accept_header import clean_accept
from common.hosts import HostRule, RequestRejectedError
from sidecar.landing import write_landing

SCRAPE_WAIT_SECONDS: Final = 2.0
"""How long a scrape waits for its turn; one runs at a time, since counting shares the interpreter."""

NAMES_LIMIT: Final = 100
"""Parameters of a scrape, each the name of a metric to return."""

HEALTH: Final = frozenset({"/healthz", "/readyz"})
"""Routes that are open to everyone, under any name."""

_TEXT: Final = "text/plain; charset=utf-8"
_OPENMETRICS: Final = "application/openmetrics-text"
_REJECTED: Final = {"host": http.HTTPStatus.BAD_REQUEST, "origin": http.HTTPStatus.FORBIDDEN}

Check = Callable[[], str | None]
"""Returns what is wrong, or None."""

FindLinks = Callable[[str], Mapping[str, str]]
"""Returns the URLs of the other parts by name, for the Host header of a browser."""

_log = logging.getLogger(__name__)


class Registries(NamedTuple):
    """The registry of each exposition; they differ for new series only (``sidecar/series_start.py``)."""

    text: CollectorRegistry
    openmetrics: CollectorRegistry


@dataclass(frozen=True)
class Request:
    """A request without its body, which no route reads."""

    method: str
    target: str
    version: str
    headers: Message

    def get(self, name: str) -> str | None:
        """Return a header's value; values of a header sent several times are joined by commas."""
        found = self.headers.get_all(name)
        return None if found is None else ",".join(str(value).strip() for value in found)


@dataclass(frozen=True)
class Answer:
    """An HTTP response; one that rejects its request has a ``reason`` of sidecar/rejections.py."""

    status: http.HTTPStatus
    kind: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    reason: str = ""


def make_problem(status: http.HTTPStatus, reason: str, detail: str) -> Answer:
    """Make a problem+json answer (RFC 9457)."""
    problem = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail, "reason": reason}
    headers = (("Retry-After", "1"),) if status == http.HTTPStatus.SERVICE_UNAVAILABLE else ()
    return Answer(status, "application/problem+json", json.dumps(problem).encode() + b"\n", headers, reason)


class Routes:
    """Answers requests from the registries, two health checks, the newest seq counted, and the positions."""

    def __init__(  # noqa: PLR0913 - one per source
        self,
        rule: HostRule,
        registries: Registries,
        check_alive: Check,
        check_ready: Check,
        read_last_seq: Callable[[], int] = lambda: 0,
        *,
        read_positions: Callable[[], bytes | None] = lambda: None,
        find_links: FindLinks = lambda _host: {},
        token: str | None = None,
    ) -> None:
        """Keep the sources of the answers, and the ``token`` that clients must send, None for an open sidecar."""
        self._token = token
        self._rule = rule
        self._registries = registries
        self._check_alive = check_alive
        self._check_ready = check_ready
        self._read_last_seq = read_last_seq
        self._read_positions = read_positions
        self._find_links = find_links
        self._scrape_lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """Answer one request; an unexpected error is logged and answered with 500."""
        try:
            return self._answer(request)
        except RequestRejectedError as error:
            return make_problem(_REJECTED[error.reason], error.reason, error.detail)
        except Exception:  # noqa: BLE001 - one failed request must not end the server
            _log.exception("request failed")
            failed = make_problem(http.HTTPStatus.INTERNAL_SERVER_ERROR, "bug", "The sidecar failed; its log says why.")
            # Logged above, and no rejection.
            return replace(failed, reason="")

    def _answer(self, request: Request) -> Answer:
        try:
            target = urlsplit(request.target)
        except ValueError:
            return make_problem(http.HTTPStatus.BAD_REQUEST, "target", "the request target is not a URL")
        path = unquote(target.path) or "/"
        has_token = self._has_token(request)
        self._check_names(request, path, has_token=has_token)
        may_read = has_token or self._token is None
        if not may_read and path not in HEALTH:
            return _reject()
        if request.method != "GET":
            return Answer(http.HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"expected GET\n", (("Allow", "GET"),), "method")
        if path == "/metrics":
            return self._scrape(request, target.query)
        if path == "/":
            page = write_landing(self._find_links(request.get("Host") or ""))
            return Answer(http.HTTPStatus.OK, "text/html; charset=utf-8", page)
        return self._show(path, may_read=may_read)

    def _has_token(self, request: Request) -> bool:
        scheme, _, given = (request.get("Authorization") or "").partition(" ")
        expected = self._token or ""
        # In constant time, so that the time does not show how much of a guess is right.
        is_equal = hmac.compare_digest(given.strip().encode(errors="replace"), expected.encode())
        return bool(expected) and scheme.lower() == "bearer" and is_equal

    def _check_names(self, request: Request, path: str, *, has_token: bool) -> None:
        host = request.get("Host")
        # Orchestrators send health checks under any host name, and the answers hold nothing secret. No page under
        # another name has the token.
        if path not in HEALTH and not has_token:
            self._rule.check_host(host, request.target, request.version)
        self._rule.check_origin(request.method, request.get("Origin"), host)

    def _show(self, path: str, *, may_read: bool) -> Answer:
        match path:
            case "/positions":
                return self._show_positions()
            case "/healthz":
                return _answer_check("alive", self._check_alive())
            case "/readyz":
                more = {"last_seq": self._read_last_seq()} if may_read else {}
                return _answer_check("ready", self._check_ready(), **more)
        expected = b"expected /, /metrics, /positions, /healthz or /readyz\n"
        return Answer(http.HTTPStatus.NOT_FOUND, _TEXT, expected, (), "not_found")

    def _show_positions(self) -> Answer:
        body = self._read_positions()
        if body is None:
            detail = 'positions are not kept, since POSITIONS is "off"'
            # Not a rejection: the web process asks, to say so on its page.
            return replace(make_problem(http.HTTPStatus.NOT_FOUND, "positions_off", detail), reason="")
        return Answer(http.HTTPStatus.OK, "application/json", body)

    def _scrape(self, request: Request, query: str) -> Answer:
        try:
            names = parse_qs(query, max_num_fields=NAMES_LIMIT).get("name[]")
        except ValueError:
            detail = f"more than {NAMES_LIMIT} parameters; expected at most that many, each name[]=METRIC"
            return make_problem(http.HTTPStatus.BAD_REQUEST, "query", detail)
        encode, kind = choose_encoder(clean_accept(request.get("Accept")))
        registry: Any = self._registries.openmetrics if kind.startswith(_OPENMETRICS) else self._registries.text
        if names:
            registry = registry.restricted_registry(names)
        if not self._scrape_lock.acquire(timeout=SCRAPE_WAIT_SECONDS):
            return make_problem(http.HTTPStatus.SERVICE_UNAVAILABLE, "busy", "too many scrapes at once")
        try:
            body = encode(registry)
        finally:
            self._scrape_lock.release()
        if gzip_accepted(request.get("Accept-Encoding") or ""):
            return Answer(http.HTTPStatus.OK, kind, gzip.compress(body), (("Content-Encoding", "gzip"),))
        return Answer(http.HTTPStatus.OK, kind, body)


def _reject() -> Answer:
    detail = "the token is missing or wrong; expected Authorization: Bearer with the one in SIDECAR_TOKEN_FILE"
    problem = make_problem(http.HTTPStatus.UNAUTHORIZED, "token", detail)
    return replace(problem, headers=(("WWW-Authenticate", "Bearer"),))


def _answer_check(word: str, wrong: str | None, **more: int) -> Answer:
    status = http.HTTPStatus.OK if wrong is None else http.HTTPStatus.SERVICE_UNAVAILABLE
    body = {"status": word} if wrong is None else {"status": f"not {word}", "detail": wrong}
    return Answer(status, "application/json", json.dumps(body | more).encode() + b"\n")

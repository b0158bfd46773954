"""The routes that the processes share: metrics, health and a landing page, behind the check of names and token."""

import gzip
import hmac
import http
import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from common.accept_header import clean_accept
from common.hosts import HostRule, RequestRejectedError
from common.serving.answers import Answer, Request, make_problem

SCRAPE_WAIT_SECONDS: Final = 2.0
"""How long a scrape waits for its turn; one runs at a time, since counting shares the interpreter."""

NAMES_LIMIT: Final = 100
"""Parameters of a scrape, each the name of a metric to return."""

HEALTH: Final = frozenset({"/healthz", "/readyz"})
"""Routes that are open to everyone, under any name."""

_GZIP_LEVEL: Final = 1
"""For 11,000 series: 4 ms of CPU and 100 kB; level 6 takes 11 ms for 86 kB, and level 9, the default, 40 for 84."""

_TEXT: Final = "text/plain; charset=utf-8"
_REJECTED: Final = {"host": http.HTTPStatus.BAD_REQUEST, "origin": http.HTTPStatus.FORBIDDEN}

Check = Callable[[], str | None]
"""Returns what is wrong, or None."""

FindLinks = Callable[[str], Mapping[str, str]]
"""Returns the URLs of the other parts by name, for the Host header of a browser."""

Scrape = Callable[[str, list[str]], tuple[bytes, str]]
"""Returns the exposition and its content type, for an Accept header and the names of metrics, all without names."""

_log = logging.getLogger(__name__)


class Routes:
    """Answers requests for metrics, two health checks, a landing page, and the ``pages`` of one process."""

    def __init__(  # noqa: PLR0913 - one per source
        self,
        rule: HostRule,
        scrape: Scrape,
        check_alive: Check,
        check_ready: Check,
        *,
        write_landing: Callable[[str], bytes],
        pages: Mapping[str, Callable[[str], Answer]] = {},
        describe: Callable[[], Mapping[str, int]] = dict,
        token: str | None = None,
    ) -> None:
        """Keep the sources of the answers, and the ``token`` that clients must send, None for an open process.

        ``write_landing`` gets the Host header, each page its query string, and ``describe`` returns more for who may
        read ``/readyz``.
        """
        self._token = token
        self._rule = rule
        self._scrape = scrape
        self._check_alive = check_alive
        self._check_ready = check_ready
        self._write_landing = write_landing
        self._pages = pages
        self._describe = describe
        self._scrape_lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """Answer one request; an unexpected error is logged and answered with 500."""
        try:
            return self._answer(request)
        except RequestRejectedError as error:
            return make_problem(_REJECTED[error.reason], error.reason, error.detail)
        except Exception:  # noqa: BLE001 - one failed request must not end the server
            _log.exception("request failed")
            failed = make_problem(http.HTTPStatus.INTERNAL_SERVER_ERROR, "bug", "The server failed; its log says why.")
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
            return self._expose(request, target.query)
        if path == "/":
            page = self._write_landing(request.get("Host") or "")
            return Answer(http.HTTPStatus.OK, "text/html; charset=utf-8", page)
        return self._show(path, target.query, may_read=may_read)

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

    def _show(self, path: str, query: str, *, may_read: bool) -> Answer:
        if path == "/healthz":
            return _answer_check("alive", self._check_alive(), {})
        if path == "/readyz":
            return _answer_check("ready", self._check_ready(), self._describe() if may_read else {})
        if path in self._pages:
            return self._pages[path](query)
        known = ", ".join(("/", "/metrics", *self._pages, "/healthz"))
        return Answer(http.HTTPStatus.NOT_FOUND, _TEXT, f"expected {known} or /readyz\n".encode(), (), "not_found")

    def _expose(self, request: Request, query: str) -> Answer:
        try:
            names = parse_qs(query, max_num_fields=NAMES_LIMIT).get("name[]", [])
        except ValueError:
            detail = f"more than {NAMES_LIMIT} parameters; expected at most that many, each name[]=METRIC"
            return make_problem(http.HTTPStatus.BAD_REQUEST, "query", detail)
        if not self._scrape_lock.acquire(timeout=SCRAPE_WAIT_SECONDS):
            return make_problem(http.HTTPStatus.SERVICE_UNAVAILABLE, "busy", "too many scrapes at once")
        try:
            body, kind = self._scrape(clean_accept(request.get("Accept")), names)
        finally:
            self._scrape_lock.release()
        vary = ("Vary", "Accept, Accept-Encoding")
        if _takes_gzip(request.get("Accept-Encoding") or ""):
            packed = gzip.compress(body, _GZIP_LEVEL)
            return Answer(http.HTTPStatus.OK, kind, packed, (("Content-Encoding", "gzip"), vary))
        return Answer(http.HTTPStatus.OK, kind, body, (vary,))


def _takes_gzip(accept_encoding: str) -> bool:
    for each in accept_encoding.lower().split(","):
        coding, _, quality = each.partition(";")
        if coding.strip() == "gzip":
            return re.fullmatch(r"q=0(\.0*)?", quality.strip()) is None
    return False


def _reject() -> Answer:
    detail = "the token is missing or wrong; expected Authorization: Bearer with the one in SIDECAR_TOKEN_FILE"
    problem = make_problem(http.HTTPStatus.UNAUTHORIZED, "token", detail)
    return replace(problem, headers=(("WWW-Authenticate", "Bearer"),))


def _answer_check(word: str, wrong: str | None, more: Mapping[str, int]) -> Answer:
    status = http.HTTPStatus.OK if wrong is None else http.HTTPStatus.SERVICE_UNAVAILABLE
    body = {"status": word} if wrong is None else {"status": f"not {word}", "detail": wrong}
    return Answer(status, "application/json", json.dumps({**body, **more}).encode() + b"\n")

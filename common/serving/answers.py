"""Requests without a body, and their answers."""

import http
import json
from dataclasses import dataclass
from email.message import Message


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
    """An HTTP response; one that rejects its request has a ``reason`` of common/serving/rejections.py."""

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

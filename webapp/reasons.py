"""Reasons: why a request is answered with a problem, the status of each, and the body of a problem (RFC 9457)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, NotRequired, TypedDict

Errors = Mapping[str, list[str] | Mapping[str, list[str]]]
"""Messages by field; those of a batch by index, then by field."""


class Problem(TypedDict):
    """Why a request was rejected: ``reason`` is a stable word for programs, ``errors`` has the messages by field."""

    type: str
    title: str
    status: int
    detail: str
    reason: str
    request_id: str
    errors: NotRequired[Errors]


class Reason(NamedTuple):
    """One reason: the status of its answer, when it is given, and an example of its errors by field."""

    status: int
    name: str
    when: str
    errors: Errors | None = None


ROUTE_REASONS: Final = (
    Reason(
        400, "bad_request", "`Idempotency-Key` is malformed, the query or form is not UTF-8, or the body ended early"
    ),
    Reason(400, "json", "the body is not UTF-8, not JSON, nested too deep, too wide, or names a field twice"),
    Reason(401, "no_credential", "this server is locked, and the request has no credential"),
    Reason(401, "token_unknown", "the token is not one of this server, or not complete"),
    Reason(401, "token_expired", "the token is no longer valid"),
    Reason(401, "token_revoked", "the token was revoked"),
    Reason(401, "session_ended", "the session has expired, or was ended: sign in again"),
    Reason(403, "scope", "the credential does not have the scope that the route needs"),
    Reason(403, "forwarded", "it came through a proxy, and no token was made yet; the detail says how to make one"),
    Reason(403, "csrf", "a form, or another write with a session, without its token; the detail says what to send"),
    Reason(403, "hub", "this server is a hub, which shows the trades of its hosts: send the trade to a host"),
    Reason(403, "origin", "a write from a page of another origin"),
    Reason(404, "not_found", "no trade has this id, or no webhook has this token"),
    Reason(404, "positions_off", "positions are not kept: `POSITIONS` is `off`"),
    Reason(408, "request_timeout", "the body did not arrive within `BODY_TIMEOUT`"),
    Reason(409, "key_in_flight", "the first request with this `Idempotency-Key` is in flight: send it again"),
    Reason(413, "too_large", "the body, or the batch, is larger than its limit"),
    Reason(415, "unsupported_media_type", "another `Content-Type` or `Content-Encoding` than those described"),
    Reason(
        422,
        "invalid",
        "fields or parameters are not accepted; `errors` names each",
        {"side": ['"hold" is not accepted; expected BUY or SELL']},
    ),
    Reason(
        422,
        "unusual_price",
        "the price of a form is over 20 % from the last one of its symbol: the form asks once more",
        {"price": ["31 % below the last price, 39000. Send again if right."]},
    ),
    Reason(422, "key_reused", "this `Idempotency-Key`, or the key of a trade, was used with other fields"),
    Reason(429, "rate_limit", "this token, or this address, has sent more writes than it may"),
    Reason(503, "downloads_limit", "this worker sends as many downloads as it may"),
    Reason(503, "journal", "the journal cannot be used now: nothing was accepted"),
    Reason(503, "sidecar_unreachable", "the sidecar, which keeps the positions, does not answer"),
    Reason(503, "service_unavailable", "this worker has as many subscribers, or checks as many passwords, as it may"),
)
"""The reasons that a route names in its description. ``journal`` stands for ``journal_locked``, ``journal_full``, …"""

COMMON_REASONS: Final = (
    Reason(400, "host", "`Host` names none of this server's names; `/healthz` and `/readyz` answer under any"),
    Reason(400, "request_line", "the request line cannot be parsed"),
    Reason(400, "method", "the method is not one of HTTP"),
    Reason(400, "http_version", "the version is neither HTTP/1.0 nor HTTP/1.1"),
    Reason(400, "header", "a header is malformed or duplicate, or the length of the body is ambiguous"),
    Reason(400, "malformed", "another part is not of HTTP/1.0 or HTTP/1.1"),
    Reason(408, "head_timeout", "the request line and headers did not arrive within `BODY_TIMEOUT`"),
    Reason(414, "too_large", "the request line is longer than 4,094 bytes"),
    Reason(417, "expectation", "`Expect` is not `100-continue`"),
    Reason(429, "address_limit", "the address has too many connections"),
    Reason(431, "too_large", "more than 64 headers, or one longer than 8,190 bytes"),
    Reason(500, "bug", "the server failed; its log has the traceback with the request's id"),
    Reason(501, "transfer_coding", "`Transfer-Encoding` is not `chunked`"),
    Reason(503, "worker_limit", "the worker has too many connections"),
    Reason(503, "file_descriptors", "the worker has no free file descriptor"),
)
"""The reasons for which any request may be rejected, most of them before a route is found."""

RETRIED: Final = frozenset({409, 429, 503})
"""The statuses of an answer with ``Retry-After``."""

QUERY: Final = ("bad_request", "invalid")
"""The reasons of a route that reads its query by a schema."""

BODY: Final = ("bad_request", "request_timeout", "too_large", "unsupported_media_type")
"""The reasons of a route that receives a body of certain types."""


WRITE: Final = ("origin", "rate_limit")
"""The reasons of every route that writes."""

CREDENTIAL: Final = (
    "no_credential",
    "token_unknown",
    "token_expired",
    "token_revoked",
    "session_ended",
    "scope",
    "forwarded",
    "journal",
)
"""The reasons of every route that needs a scope: credentials are read from the journal."""


def find_reasons(names: Iterable[str]) -> Iterator[Reason]:
    """Yield the reasons of a route by their names, each once. Raises KeyError for an unknown one."""
    known = {reason.name: reason for reason in ROUTE_REASONS}
    return (known[name] for name in dict.fromkeys(names))

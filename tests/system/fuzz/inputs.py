"""The inputs. Each depends only on the seed and its number, so that any can be repeated."""

import json
import random
from collections.abc import Callable
from typing import Final, NamedTuple

from tests.system.fuzz import values
from tests.system.fuzz.messages import make_message, make_peer_bytes
from tests.system.fuzz.values import damage, make_json, make_query, make_text, make_trade, quote
from webapp.input.hook_payload import NAMES

WEB_ROUTES: Final = (
    *("/", "/trades", "/trades/x", "/feed", "/market", "/pipeline", "/blotter", "/blotter.csv", "/blotter.json"),
    *("/healthz", "/readyz", "/metrics", "/static/app.css", "/trade", "/nope", "//", "/static/../x", "/trades/"),
)
SIDECAR_ROUTES: Final = ("/", "/metrics", "/healthz", "/readyz", "/nope", "//metrics", "/metrics/")
METHODS: Final = ("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW", "POST", "get", "", "G\x00T")
HEADERS: Final = (
    *("Host", "Origin", "Referer", "Accept", "Accept-Encoding", "Content-Type", "Content-Length", "Content-Encoding"),
    *("Transfer-Encoding", "Expect", "Connection", "Upgrade", "Cookie", "Authorization", "Idempotency-Key", "Prefer"),
    *("X-Request-ID", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "SCRIPT_NAME", "Range"),
    *("If-None-Match", "If-Modified-Since", "If-Range", "Last-Event-ID", "X-Prometheus-Scrape-Timeout-Seconds", "Via"),
    *(
        "X-CSRFToken",
        "TE",
        "Trailer",
        "Content-Range",
        "Cache-Control",
        "Access-Control-Request-Method",
        "Http2-Settings",
    ),
)
HEADER_VALUES: Final = (
    *("", ",", ";", '"', "a=b;" * 50, "\xff\xfe", "x" * 9000, "chunked", "gzip, chunked", "identity", "100-continue"),
    *("null", "http://127.0.0.1", "https://evil.example", "evil.example", "127.0.0.1", "[::1]:80", "localhost:99999"),
    *("application/json", "application/json; charset=utf-16", "multipart/form-data; boundary=x", "text/html;q=x, */*"),
    *("application/x-www-form-urlencoded", "application/openmetrics-text; version=x", "text/plain; version=9.9.9"),
    *("application/openmetrics-text; version=1.0.0; escaping=nonsense", "bytes=0-1,5-,-3", "bytes=9-1", 'W/"a", *'),
    *("close", "keep-alive", "upgrade, http2-settings", "h2c", "websocket", "Bearer tt_x", "trading_session=.e30.x.y"),
    *("18446744073709551616", "-1", "5", "0", "1, 1", "+1", "0x1", "Sat, 31 Feb 2026 00:00:00 GMT", '"k"', "k"),
)
JSON_TYPE: Final = "Content-Type: application/json"
FORM_TYPE: Final = "Content-Type: application/x-www-form-urlencoded"
PARTS_TYPE: Final = "Content-Type: multipart/form-data; boundary=x"


class Session(NamedTuple):
    """The session cookie and CSRF token of a browser that opened the desk."""

    cookie: str
    token: str


class Input(NamedTuple):
    """Bytes for ``web`` or ``sidecar``, or for the ZeroMQ port: without the key (``peer``) or with it (``hint``)."""

    port: str
    frames: tuple[bytes, ...]


def make_input(seed: int, number: int, session: Session) -> Input:
    """Return one input."""
    rng = random.Random(f"{seed}/{number}")
    (make,) = rng.choices(tuple(_MAKERS), tuple(_MAKERS.values()))
    return make(rng, session)


def write(method: str, target: str, body: bytes, *headers: str, version: str = "HTTP/1.1") -> bytes:
    """Return a request as bytes, with ``Content-Length`` if it has a body."""
    lines = [f"{method} {target} {version}", *headers]
    if not any(line.lower().startswith("host:") for line in headers):
        lines.insert(1, "Host: 127.0.0.1")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", errors="replace") + body


def _trade(rng: random.Random, _: Session) -> Input:
    headers = [JSON_TYPE]
    if rng.random() < 0.3:
        headers.append(f"Idempotency-Key: k{rng.randrange(10**6)}")
    return Input("web", (write("POST", "/trade", json.dumps(make_trade(rng)).encode(), *headers),))


def _json(rng: random.Random, _: Session) -> Input:
    headers = [JSON_TYPE, *_make_headers(rng, 0.2)]
    return Input("web", (write("POST", rng.choice(("/trade", "/trade", "/trades")), make_json(rng), *headers),))


def _hook(rng: random.Random, _: Session) -> Input:
    """A webhook's payload, under the names of tools, with the type of JSON or another."""
    if rng.random() < 0.3:
        fields = {rng.choice(NAMES[name]): str(value) for name, value in make_trade(rng).items()}
        fields[rng.choice(values.NAMES)] = make_text(rng)
        body = "&".join(f"{quote(rng, name)}={quote(rng, value)}" for name, value in fields.items()).encode("latin-1")
    else:
        body = make_json(rng)
        for name, names in NAMES.items():
            body = body.replace(f'"{name}"'.encode(), f'"{rng.choice(names)}"'.encode())
        body = body.replace(b'"BUY"', rng.choice((b'"BUY"', b'"long"', b"{{strategy.order.action}}", b'"exit short"')))
    token = rng.choice(("open",) * 8 + ("x", quote(rng, make_text(rng))))
    kind = rng.choice(
        (JSON_TYPE, FORM_TYPE, "Content-Type: text/plain", "Content-Type: multipart/form-data; boundary=x")
    )
    return Input("web", (write("POST", f"/hooks/{token}", body, kind, *_make_headers(rng, 0.2)),))


def _form(rng: random.Random, session: Session) -> Input:
    fields = {name: str(value) for name, value in make_trade(rng).items()}
    fields["csrf_token"] = session.token
    for _ in range(rng.randrange(3)):
        fields[rng.choice((*fields, *values.NAMES))] = make_text(rng)
    body = "&".join(f"{quote(rng, name)}={quote(rng, value)}" for name, value in fields.items()).encode("latin-1")
    if rng.random() < 0.2:
        body = rng.choice((damage(rng, body), body + b"&price=1", b"&" * 9000, b"%" * 8000, body.replace(b"=", b"")))
    cookie = rng.choice((session.cookie,) * 8 + ("trading_session=x", "", ";;=", "trading_session=\xff"))
    return Input("web", (write("POST", "/trade", body, FORM_TYPE, f"Cookie: {cookie}"),))


def _query(rng: random.Random, _: Session) -> Input:
    query = make_query(rng)
    target = rng.choice(WEB_ROUTES) + (f"?{query}" if query else "")
    method = rng.choice(("GET",) * 6 + METHODS)
    return Input("web", (write(method, target, b"", *_make_headers(rng, 0.3), version=_make_version(rng)),))


def _path(rng: random.Random, _: Session) -> Input:
    text = quote(rng, "/".join(make_text(rng)[:40] for _ in range(rng.randint(1, 4))))
    target = rng.choice((f"/{text}", f"/trades/{text}", f"/static/{text}", f"http://127.0.0.1/{text}", text, "*"))
    return Input("web", (write("GET", target, b"", *_make_headers(rng, 0.1)),))


def _framing(rng: random.Random, _: Session) -> Input:
    body = json.dumps(make_trade(rng)).encode() if rng.random() < 0.5 else make_json(rng)
    pieces = [body[at : at + 40] for at in range(0, len(body), 40)] if rng.random() < 0.5 else [body]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    if rng.random() < 0.6:
        chunks = damage(rng, chunks)
    head = write("POST", "/trade", b"", JSON_TYPE, "Transfer-Encoding: chunked", *_make_headers(rng, 0.1))
    return Input("web", (head + chunks,))


def _bytes(rng: random.Random, session: Session) -> Input:
    make = rng.choice((_trade, _form, _query, _framing, _json, _hook))
    return Input("web", (damage(rng, make(rng, session).frames[0]),))


def _row(rng: random.Random, session: Session) -> Input:
    """Several requests, pipelined on one connection."""
    makers = rng.choices((_trade, _json, _form, _path), k=rng.randint(2, 4))
    return Input("web", (b"".join(make(rng, session).frames[0] for make in makers),))


def _noise(rng: random.Random, _: Session) -> Input:
    sent = rng.choice(
        (rng.randbytes(rng.randrange(400)), b"\r\n" * rng.randrange(50), b"\x16\x03\x01" + rng.randbytes(200))
    )
    return Input(rng.choice(("web", "sidecar")), (sent,))


def _sidecar(rng: random.Random, _: Session) -> Input:
    query = make_query(rng)
    target = rng.choice(SIDECAR_ROUTES) + (f"?{query}" if query else "")
    body = make_json(rng) if rng.random() < 0.1 else b""
    method = rng.choice(("GET",) * 6 + METHODS)
    sent = write(method, target, body, *_make_headers(rng, 0.5), version=_make_version(rng))
    return Input("sidecar", (damage(rng, sent) if rng.random() < 0.3 else sent,))


def _scrape(rng: random.Random, _: Session) -> Input:
    """A scrape with any Accept header."""
    ranges = []
    for _number in range(rng.randint(1, 3)):
        kind = rng.choice(("application/openmetrics-text", "text/plain", "*/*", "", make_text(rng)))
        version = rng.choice(("1.0.0", "0.0.4", "2.0.0", "1", "", "x", "1.x", "9" * 30, make_text(rng)))
        rest = rng.choice(("", ";q=0.5", ";escaping=values", ";escaping=x", "; charset=utf-8", f";{make_text(rng)}"))
        ranges.append(f"{kind};version={version}{rest}")
    headers = [f"Accept: {','.join(ranges)}", *_make_headers(rng, 0.2)]
    return Input(rng.choice(("web", "sidecar")), (write("GET", "/metrics", b"", *headers),))


def _peer(rng: random.Random, _: Session) -> Input:
    return Input("peer", (make_peer_bytes(rng),))


def _hint(rng: random.Random, _: Session) -> Input:
    return Input("hint", make_message(rng))


def _make_headers(rng: random.Random, chance: float) -> list[str]:
    headers = []
    while rng.random() < chance:
        value = rng.choice((rng.choice(HEADER_VALUES), rng.choice(HEADER_VALUES), make_text(rng)))
        headers.append(f"{rng.choice(HEADERS)}: {value}")
    return headers


def _make_version(rng: random.Random) -> str:
    return rng.choice(
        ("HTTP/1.1",) * 12 + ("HTTP/1.0", "HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.1 ", "", "http/1.1")
    )


_MAKERS: Final[dict[Callable[[random.Random, Session], Input], int]] = {
    _trade: 8,
    _json: 24,
    _hook: 12,
    _form: 12,
    _query: 14,
    _path: 6,
    _framing: 8,
    _bytes: 10,
    _row: 3,
    _noise: 3,
    _sidecar: 8,
    _scrape: 4,
    _peer: 3,
    _hint: 5,
}

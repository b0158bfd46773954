"""Inputs for the ZeroMQ port: bytes of peers without the key, and invalid messages of a peer with the key."""

import json
import random
import uuid
from typing import Any, Final

from common.wire.messages import TOTALS, TRADES, encode_report
from common.wire.worker_totals import VALUE_MAX, WorkerTotals
from tests.conftest import name_worker
from tests.system.fuzz.values import damage, make_trade, make_value
from tests.worker_totals import count_rejections, count_requests, gauge, observe

COUNTS: Final = (0, 1, 7, VALUE_MAX, VALUE_MAX + 1, 2**64, -1, 1.5, "1", None)
_GREETING: Final = b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f"
_READY: Final = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB"


def make_peer_bytes(rng: random.Random) -> bytes:
    """Return the bytes of a peer without the key: noise, HTTP, or a greeting of some ZMTP version and a trade."""
    mechanism = rng.choice((b"NULL", b"PLAIN", b"CURVE", b"XXXX")).ljust(20, b"\x00")
    message = TRADES + b"\n" + json.dumps([_make_event(rng)]).encode()
    frame = b"\x02" + len(message).to_bytes(8, "big") + message
    sent = rng.choice(
        (
            rng.randbytes(rng.randrange(300)),
            b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n\r\n" + frame,
            _GREETING + b"\x03\x00" + mechanism + b"\x00" * 32 + _READY + frame,
            b"\x01\x00" + bytes([len(message) % 256, 0]) + message,
            _GREETING + b"\x03\x01" + mechanism + rng.randbytes(260),
        )
    )
    return damage(rng, sent) if rng.random() < 0.3 else sent


def make_message(rng: random.Random) -> tuple[bytes, ...]:
    """Return the frames of a message with the key, without a trade of this journal."""
    if rng.random() < 0.4:
        kind, body = TOTALS, json.dumps(_make_totals(rng)).encode()
    else:
        kind, body = TRADES, json.dumps([_make_event(rng) for _ in range(rng.choice((0, 1, 1, 3)))]).encode()
    variant = rng.randrange(8)
    if variant == 0:
        kind = rng.choice((b"trades/2", b"totals/9", b"", b"\xff", rng.randbytes(8)))
    elif variant == 1:
        body = damage(rng, body)
    elif variant == 2:
        body = rng.choice((b"", b"[" * 5000, rng.randbytes(40), json.dumps(make_value(rng)).encode()))
    message = kind + b"\n" + body
    return rng.choice(((message,),) * 6 + ((kind, body), (message, message), ()) + ((rng.randbytes(30),),)) or (b"",)


def _make_event(rng: random.Random) -> dict[str, Any]:
    timestamp = "2026-01-31T09:30:00.000000Z"
    # Always of another journal, so that it is never counted.
    event: dict[str, Any] = {
        "seq": rng.choice((1, 5, 10**12, 2**63 - 1)),
        "id": str(uuid.UUID(int=rng.getrandbits(128))),
    }
    event |= {"accepted_at": timestamp, "ts": timestamp, "symbol": "FORGED", "side": "BUY", "price": "1", "qty": "1"}
    event["journal_id"] = f"{rng.getrandbits(128):032x}"
    if rng.random() < 0.5:
        name = rng.choice([name for name in event if name != "journal_id"])
        event[name] = rng.choice((make_value(rng), *make_trade(rng).values()))
    return event


def _make_totals(rng: random.Random) -> dict[str, Any]:
    metrics = [
        count_requests({"GET / 200": 1}),
        observe("GET /", rng.random(), request_id="a-request"),
        count_rejections({"json": 1}),
        gauge("webapp_connections", 1),
    ]
    # Of early years: a name of the future would make later workers look as if they might be counted already.
    worker = name_worker(rng.getrandbits(40) if rng.random() < 0.5 else 1)
    totals = WorkerTotals(worker, rng.randrange(100), rng.random() < 0.1, metrics)
    made: dict[str, Any] = json.loads(encode_report(totals)[0].removeprefix(TOTALS + b"\n"))
    for _ in range(rng.randrange(3)):
        _change(rng, made)
    return made


def _change(rng: random.Random, values: Any) -> None:  # noqa: ANN401 - a list or an object
    """Change one value at any depth."""
    name = rng.choice(range(len(values)) if isinstance(values, list) else tuple(values))
    if isinstance(values[name], dict | list) and values[name] and rng.random() < 0.8:
        _change(rng, values[name])
    elif isinstance(values, dict) and rng.random() < 0.2:
        values[rng.choice(("GET /x 200", 'a"b\n{} 1 200', "\u2028", "", "x" * 300))] = rng.choice(COUNTS)
    else:
        values[name] = rng.choice((*COUNTS, make_value(rng)))

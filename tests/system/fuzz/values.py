"""Values that programs often mishandle, and trades made of them."""

import json
import random
from typing import Any, Final
from urllib.parse import quote_from_bytes

TEXTS: Final = (
    "",
    " ",
    "0",
    "-0",
    "1e400",
    "1e-400",
    "NaN",
    "Infinity",
    "0x10",
    "1_000",
    "9" * 40,
    "0." + "9" * 40,
    "null",
    "true",
    "\x00",
    "\r\n",
    "a\r\nSet-Cookie: a=b",
    "\u2028",
    "\ufeff",
    "\ud800",
    "\udfff",
    "\U0010ffff",
    "e\u0301",
    "\u017f",
    "\u202e",
    "\uff11",
    "😀",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "%s%n%00",
    "' OR 1=1 --",
    "../../etc/passwd",
    "=1+1",
    "__proto__",
    "BUY",
    "sell",
    "BTCUSDT",
    "2026-01-31T09:30:00Z",
    "9999-12-31T23:59:59-23:59",
    "0000-00-00T00:00:00Z",
    "2026-01-31T09:30:00+0000",
    "9223372036854775808",
    "-1",
    "x" * 300,
    "é" * 5000,
)
NAMES: Final = (
    *("symbol", "side", "price", "qty", "ts", "source", "ref", "fee", "key", "id", "seq", "after", "before", "limit"),
    *("since", "until", "window", "step", "name[]", "endpoint", "_method", "_scheme", "_external", "_anchor"),
    *("values", "self", "csrf_token", "idempotency_key", "", "\x00", "é", "__class__", "x" * 200),
)


def make_trade(rng: random.Random) -> dict[str, Any]:
    """Return a valid trade."""
    trade: dict[str, Any] = {
        "symbol": rng.choice(
            ("BTCUSDT", "ETHUSDT", "XRP/USD", "A", "Z" * 64, "kPEPE", "BRK B", "M&M.NS", "USD₮", "'=A", '"\\')
        ),
        "side": rng.choice(("BUY", "SELL", "buy", "Sell")),
        "price": rng.choice((f"{rng.randint(1, 99_999)}.{rng.randint(0, 999):03}", rng.randint(1, 10**9))),
        "qty": rng.choice(("0.25", "1", "1e-7", "9" * 20, f"{rng.random() + 0.001:.18f}")),
    }
    if rng.random() < 0.3:
        trade["ts"] = f"20{rng.randint(10, 25)}-0{rng.randint(1, 9)}-1{rng.randint(0, 9)}T0{rng.randint(0, 9)}:30:00Z"
    if rng.random() < 0.3:
        extra = {
            "source": rng.choice(("bot-1", "a", "s" * 64)),
            "ref": rng.choice(("7", "'é\"")),
            "fee": rng.choice(("0", 0.5)),
        }
        trade |= {name: value for name, value in extra.items() if rng.random() < 0.5}
    return trade


def make_text(rng: random.Random) -> str:
    """Return a text of any characters."""
    if rng.random() < 0.7:
        return rng.choice(TEXTS)
    return "".join(chr(rng.choice((rng.randrange(128), rng.randrange(0x3000)))) for _ in range(rng.randrange(12)))


def make_value(rng: random.Random, depth: int = 0) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value of any kind."""
    kind = rng.randrange(9 if depth < 4 else 6)
    if kind < 3:
        return make_text(rng)
    if kind == 3:
        return rng.choice((0, -1, 10**30, 2**63, 1.5, 1e300, -0.0, float("nan"), float("inf")))
    if kind < 6:
        return rng.choice((None, True, False))
    if kind == 6:
        return [make_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {make_text(rng): make_value(rng, depth + 1) for _ in range(rng.randrange(4))}


def make_json(rng: random.Random) -> bytes:
    """Return a JSON body that is almost a trade."""
    trade = make_trade(rng)
    for _ in range(rng.randint(1, 3)):
        _change(rng, trade)
    text = json.dumps(trade, ensure_ascii=rng.random() < 0.5)
    variant = rng.randrange(14)
    if variant == 0:
        text = text.replace('"price":', f'"price": {rng.choice(("1", "{}", "[]", "1e5", ""))}, "price":')
    elif variant == 1:
        text = rng.choice(("[", '{"a":', '"', "[1,")) * rng.choice((3, 20, 2000)) + text
    elif variant == 2:
        text = "{" + ",".join(f'"{make_name(rng, number)}":1' for number in range(rng.choice((90, 200, 3000)))) + "}"
    elif variant == 3:
        text = rng.choice((f"[{text}]", f"{text}{text}", "null", "1", f"  {text}  ", text.replace(":", "=")))
    body = text.encode(errors="surrogatepass")
    if variant == 4:
        body = text.encode("utf-16", errors="surrogatepass")
    elif variant in (5, 6):
        body = damage(rng, body)
    return body


def make_name(rng: random.Random, number: int) -> str:
    """Return a unique name, or at times an earlier one."""
    return str(number if rng.random() < 0.999 else number // 2)


def _change(rng: random.Random, trade: dict[str, Any]) -> None:
    variant, name = rng.randrange(4), rng.choice(tuple(trade) or ("symbol",))
    if variant == 0:
        trade.pop(name, None)
    elif variant == 1:
        trade[rng.choice(NAMES)] = make_value(rng)
    else:
        trade[name] = make_value(rng)


def damage(rng: random.Random, sent: bytes) -> bytes:
    """Change, delete, duplicate or insert some bytes."""
    changed = bytearray(sent)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed) + 1)
        variant = rng.randrange(6)
        if variant == 0 and at < len(changed):
            changed[at] = rng.randrange(256)
        elif variant == 1:
            del changed[at : at + rng.choice((1, 2, 10, 1000))]
        elif variant == 2:
            changed[at:at] = rng.choice((b"\r\n", b"\n", b"\r", b"\x00", b" ", b":", b"\xff", b"\r\n\r\n", b"\t"))
        elif variant == 3:
            changed[at:at] = rng.randbytes(rng.choice((1, 8, 200)))
        elif variant == 4:
            changed[at:at] = changed[max(0, at - rng.choice((5, 40))) : at]
        else:
            del changed[at:]
    return bytes(changed)


def make_query(rng: random.Random) -> str:
    """Return a query string, percent-encoded or almost so."""
    parts = []
    for _ in range(rng.choice((0, 1, 1, 2, 3, 3, 300))):
        name, value = (quote(rng, text) for text in (rng.choice(NAMES), make_text(rng)[:60]))
        parts.append(rng.choice((f"{name}={value}", f"{name}={value}", name, f"{name}=%ff%c3%28", "&=;", "%")))
    return "&".join(parts)


def quote(rng: random.Random, text: str) -> str:
    """Percent-encode a text, at times to bytes that are not UTF-8."""
    return quote_from_bytes(text.encode(errors="surrogatepass"), safe="/" if rng.random() < 0.5 else "/:@!$'()*,;=?+[]")

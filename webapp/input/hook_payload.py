"""What a webhook's payload says: the names under which tools send the fields of a trade, and how they write them."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from marshmallow import ValidationError

from common.display import escape, shorten
from common.event import Trade
from common.quotes import find_quote
from common.timestamps import format_timestamp, parse_number
from webapp.input.hook_body import PLACEHOLDER
from webapp.input.hook_side import find_side, find_step
from webapp.input.json_body import JsonNumber, show
from webapp.input.schemas import read_messages, read_trade

Payload = Mapping[str, object]

IDS: Final = ("id", "order_id")
"""Names of an id, by which a trade that is sent again is known."""

NAMES: Final = {
    "symbol": ("symbol", "ticker", "pair"),
    "side": ("order_action", "strategy.order_action", "strategy.order.action", "action", "side", "direction"),
    "price": (
        *("order_price", "strategy.order_price", "strategy.order.price"),
        *("price", "close_rate", "rate", "open_rate", "close", "bar.close"),
    ),
    "qty": (
        *("order_contracts", "strategy.order_contracts", "strategy.order.contracts"),
        *("contracts", "qty", "quantity", "amount"),
    ),
    "ts": ("ts", "timestamp", "datetime", "timenow", "time"),
    "source": ("source",),
    # TradingView's ids are names in the script: every entry may have the same one.
    "ref": ("ref", *IDS, "strategy.order_id", "strategy.order.id"),
    "fee": ("fee",),
}
"""The names of each field, the one that says most first; ``a.b`` is the field b of the object a."""

_ORDER: Final = {"price": ("average", *NAMES["price"]), "qty": ("filled",)}
"""The names in an order of ccxt: its price and amount are what was asked for."""

_ORDER_NAMES: Final = frozenset({"status", "filled", "remaining"})
_STEP_NAMES: Final = ("event", "type")
_EXIT_NAMES: Final = ("close_rate", "close_date", "exit_reason")
"""Names that only the messages of an exit have."""

_HINTS: Final = {
    "side": " (or long or short with entry or exit)",
    "ts": " (or a number of seconds or milliseconds since 1970)",
}

_UNFILLED = re.compile(rf"{PLACEHOLDER}|^(?:NaN|nan)$")


class ReadPayload(NamedTuple):
    """A trade, which name of the payload gave which of its fields, the payload's id, and what was left out, and why."""

    trade: Trade
    read_from: dict[str, str]
    id: str | None
    left_out: dict[str, str]


def read_payload(payload: Payload, currencies: tuple[str, ...]) -> ReadPayload:
    """Read the trade of a payload; names that no field has are ignored. Raises marshmallow's ValidationError.

    ``currencies`` are the known quote currencies.
    """
    names: Mapping[str, tuple[str, ...]] = NAMES
    if payload.keys() >= _ORDER_NAMES:
        names = NAMES | _ORDER
        _check_order(payload)
    found = {field: next(_find(payload, names[field]), None) for field in names}
    read_from = {field: one[0] for field, one in found.items() if one is not None}
    values = {field: one[1] for field, one in found.items() if one is not None}
    if "side" in values:
        read_from["side"], values["side"] = _read_side(payload, read_from.get("price"))
    if "ts" in values:
        values["ts"] = _read_time(values["ts"])
    fee = values.get("fee")
    if isinstance(fee, dict):
        del values["fee"], read_from["fee"]
    trade = _read(values, read_from, names)
    left_out: dict[str, str] = {}
    if isinstance(fee, dict) and (cost := _clean(fee.get("cost"))) is not None:
        reason = _reject_fee(cost, fee.get("currency"), find_quote(trade.symbol, currencies))
        if reason is None:
            read_from["fee"] = "fee.cost"
            trade = _read(values | {"fee": cost}, read_from, names)
        else:
            left_out["fee"] = reason
    sent_id = next(_find(payload, IDS), ("", None))[1]
    return ReadPayload(trade, read_from, sent_id if isinstance(sent_id, str) else None, left_out)


def _find(payload: Payload, names: tuple[str, ...]) -> Iterator[tuple[str, object]]:
    """Find the names that have a value, and their values; null and empty texts are none."""
    for name in names:
        value: object = payload
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if (value := _clean(value)) is not None:
            yield name, value


def _clean(value: object) -> object:
    """Return a value as the schema takes it: texts trimmed, whole numbers as texts, and None for an empty one."""
    text = value.text if isinstance(value, JsonNumber) else value
    if not isinstance(text, str):
        return value
    text = text.strip()
    if _UNFILLED.search(text):
        # No field takes such a number, and its error shows it; a symbol or a reference might take the text.
        return JsonNumber(escape(text))
    # Symbols and ids are texts, which some tools send as numbers.
    is_text = isinstance(value, str) or re.fullmatch("[0-9]+", text)
    return (text or None) if is_text else value


def _read_side(payload: Payload, price_name: str | None) -> tuple[str, object]:
    """Read the side from all names that may say it; what is not clear is returned as it was sent."""
    given = dict(_find(payload, NAMES["side"]))
    texts = [value for value in given.values() if isinstance(value, str)]
    if len(texts) == len(given):
        entries, exits = _find_steps(payload, price_name)
        for names in ([], entries + exits):
            side = find_side(texts, is_entry=bool(names and entries), is_exit=bool(names and exits))
            if side is not None:
                return ", ".join([*given, *names]), side
    sent = next(iter(given.values())) if len(given) == 1 else ", ".join(map(_show, given.values()))
    return ", ".join(given), sent


def _find_steps(payload: Payload, price_name: str | None) -> tuple[list[str], list[str]]:
    """Find the names that say that a position was entered, and those that say that it was left."""
    steps = {name: find_step(value) for name, value in _find(payload, _STEP_NAMES) if isinstance(value, str)}
    entries = [name for name, (enters, _) in steps.items() if enters]
    exits = [name for name, (_, exits) in steps.items() if exits] + [name for name in _EXIT_NAMES if name in payload]
    # A message of an exit has the rate of the entry too.
    return entries or ["open_rate"] * (price_name == "open_rate" and not exits), exits


def _show(value: object) -> str:
    return value if isinstance(value, str) else show(value)


def _read_time(value: object) -> object:
    text = value.text if isinstance(value, JsonNumber) else value
    try:
        number = parse_number(text) if isinstance(text, str) else None
    except OverflowError:
        return value
    return value if number is None else format_timestamp(number)


def _reject_fee(cost: object, currency: object, quote: str) -> str | None:
    """Return why the fee of a ccxt trade cannot be that of a trade, None when it can."""
    shown = show(cost)
    if isinstance(currency, str) and currency.upper() != quote:
        return f"{shown} {shorten(currency)} is not in {quote}, the quote currency of the symbol"
    return f"{shown} is a rebate; a fee is 0 or more" if shown.lstrip('"').startswith("-") else None


def _check_order(payload: Payload) -> None:
    if payload["status"] == "open":
        message = '"open" is not accepted; expected an order that has ended, or its fills: more of it may be filled'
        raise ValidationError({"status": [message]})


def _read(values: Payload, read_from: Mapping[str, str], names: Mapping[str, tuple[str, ...]]) -> Trade:
    """Read a trade by its schema; the errors say also where a field was read from, or was looked for."""
    try:
        return read_trade(values)
    except ValidationError as error:
        errors = {
            field: [f"{message}{_HINTS.get(field, '')}; {_tell(field, read_from, names)}" for message in messages]
            for field, messages in read_messages(error).items()
        }
        raise ValidationError(errors) from None


def _tell(field: str, read_from: Mapping[str, str], names: Mapping[str, tuple[str, ...]]) -> str:
    return f"read from {read_from[field]}" if field in read_from else f"looked for {', '.join(names[field])}"

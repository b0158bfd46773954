"""Pasted texts of the form: read where they have one meaning, asked about otherwise. The API stays strict."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

from common.quotes import OTHER_QUOTE, find_quote
from common.timestamps import format_timestamp, parse_number, parse_timestamp

_INVISIBLE: Final = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_MONEY: Final = re.compile(
    r"(?P<before>[$€£¥₹₿₮]|[A-Z]{2,6})? ?(?P<number>[0-9.,][0-9.,'\u2019 ]*?) ?(?P<after>[$€£¥₹₿₮]|[A-Z]{2,6})?"
)
_SIGNS: Final = {
    "$": ("USD", "USDT", "USDC", "FDUSD", "AUD", "CAD", "NZD"),
    "€": ("EUR",),
    "£": ("GBP",),
    "¥": ("JPY", "CNY"),
    "₹": ("INR",),
    "₿": ("BTC", "XBT"),
    "₮": ("USDT",),
}

# Groups of digits that can be nothing else, and the mark before the decimals.
_GROUPED: Final = tuple(
    re.compile(rf"(?P<whole>{whole})(?:{mark}(?P<decimals>[0-9]*))?")
    for whole, mark in (
        (r"[0-9]{1,3}(?P<gap>[ '\u2019])[0-9]{3}(?:(?P=gap)[0-9]{3})*", "[.,]"),
        (r"[0-9]{1,3}(?:,[0-9]{3})+(?=\.)|[0-9]{1,3}(?:,[0-9]{3}){2,}|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}", r"\."),
        (r"[0-9]{1,3}(?:\.[0-9]{3})+(?=,)|[0-9]{1,3}(?:\.[0-9]{3}){2,}", ","),
    )
)
_ONE_COMMA: Final = re.compile(r"([0-9]*),([0-9]+)")
_BARE_POINT: Final = re.compile(r"(?=.{2})([0-9]*)\.([0-9]*)")

_TIME: Final = re.compile(
    r"(?P<day>[0-9]{4}[-/][0-9]{2}[-/][0-9]{2})[Tt ](?P<clock>[0-9]{2}:[0-9]{2})(?P<seconds>:[0-9]{2})?"
    r"(?P<fraction>[.,][0-9]+)? ?(?P<zone>[Zz]|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_DAY: Final = re.compile(r"[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}")
_CLOCK: Final = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?(\.[0-9]+)?( ?[AaPp][Mm])?( ?(Z|UTC|GMT))?")
_DAY_OR_MONTH: Final = re.compile(r"[0-9]{1,2}[./-][0-9]{1,2}[./-]([0-9]{4}|[0-9]{2})\b.*")
_MAIL: Final = re.compile(
    r"([A-Z][a-z]{2}, )?[0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}(:[0-9]{2})? (GMT|UTC|[+-][0-9]{4})"
)
_SINCE_1970: Final = re.compile(r"[0-9]{10,}(\.[0-9]+)?")
_EXAMPLE: Final = "2026-01-31T09:30:00Z"


class UnclearError(ValueError):
    """A text that may mean more than one thing, or another thing than the field; says what to write."""


def read_pasted(values: Mapping[str, Any], currencies: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return the values as the API takes them, and a question for each that is unclear."""
    read: dict[str, Any] = {}
    questions: dict[str, list[str]] = {}
    symbol = values.get("symbol")
    for name, value in values.items():
        try:
            read[name] = _read(name, value, symbol if isinstance(symbol, str) else "", currencies)
        except UnclearError as error:
            questions[name] = [str(error)]
    return {name: value for name, value in read.items() if value is not None}, questions


def _read(name: str, value: object, symbol: str, currencies: tuple[str, ...]) -> object:
    if not isinstance(value, str):
        return value
    text = value.strip().strip(_INVISIBLE).strip()
    match name:
        case "price" | "fee":
            return _read_money(text, find_quote(symbol, currencies))
        case "qty":
            return _read_quantity(text, symbol)
        case "ts":
            return _read_time(text)
    return text


def _read_money(text: str, quote: str) -> str:
    number, currency = _split(text)
    if currency and quote not in (OTHER_QUOTE, *_SIGNS.get(currency, (currency,))):
        message = f"Expected an amount in {quote}, not in {currency}."
        raise UnclearError(message)
    return _read_number(number)


def _read_quantity(text: str, symbol: str) -> str:
    number, unit = _split(text)
    if unit and not symbol.upper().startswith(unit):
        message = f"Expected a quantity of the symbol, not an amount in {unit}."
        raise UnclearError(message)
    return _read_number(number)


def _split(text: str) -> tuple[str, str]:
    """Split an amount into the number and its currency, which may be before or after it."""
    text = " ".join(text.split())
    found = _MONEY.fullmatch(text)
    if found is None or (found["before"] and found["after"]):
        return text, ""
    return found["number"], found["before"] or found["after"] or ""


def _read_number(text: str) -> str:
    for grouped in _GROUPED:
        if found := grouped.fullmatch(text):
            return _join(re.sub("[^0-9]", "", found["whole"]), found["decimals"])
    if found := _ONE_COMMA.fullmatch(text):
        whole, decimals = found.groups()
        # Groups do not begin with 0.
        if whole != "0":
            message = f"Is it {whole or 0}.{decimals} or {whole}{decimals}? Write it without a comma."
            raise UnclearError(message)
        return _join(whole, decimals)
    if found := _BARE_POINT.fullmatch(text):
        return _join(*found.groups())
    return text


def _join(whole: str, decimals: str | None) -> str:
    return f"{whole or 0}.{decimals}" if decimals else whole


def _read_time(text: str) -> str | None:
    """Read a time; None for now."""
    text = " ".join(text.split())
    if text.lower() == "now":
        return None
    try:
        parse_timestamp(text)
    except ValueError:
        return _read_other_time(text)
    return text


def _read_other_time(text: str) -> str:
    if _SINCE_1970.fullmatch(text):
        time = parse_number(text)
        return format_timestamp(time) if time is not None else text
    if _MAIL.fullmatch(text):
        return format_timestamp(parsedate_to_datetime(text.replace("UTC", "GMT")))
    if found := _TIME.fullmatch(text):
        if not found["zone"]:
            message = "Which time zone? Add Z for UTC, or an offset like +02:00."
            raise UnclearError(message)
        zone = "Z" if found["zone"] in {"UTC", "GMT"} else found["zone"]
        offset = f"{zone}:00" if re.fullmatch(r"[+-][0-9]{2}", zone) else zone
        fraction = (found["fraction"] or "").replace(",", ".")
        return f"{found['day'].replace('/', '-')}T{found['clock']}{found['seconds'] or ':00'}{fraction}{offset}"
    for shape, question in ((_CLOCK, "Which day?"), (_DAY, "Which time?"), (_DAY_OR_MONTH, "Day or month first?")):
        if shape.fullmatch(text):
            message = f"{question} Write it like {_EXAMPLE}."
            raise UnclearError(message)
    return text

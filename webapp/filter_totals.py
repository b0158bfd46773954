"""Totals of a filter: by quote currency, since notionals of different ones are never added up."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from common.quotes import find_quote
from common.tally import Tally


class QuoteTotals(NamedTuple):
    """The trades of one quote currency: how many, and their exact notionals as text."""

    quote: str
    trades: int
    buys: int
    bought: str
    sells: int
    sold: str
    notional: str


def total_quotes(totals: Mapping[tuple[str, str], Tally], currencies: tuple[str, ...]) -> list[QuoteTotals]:
    """Add up the totals of symbols and sides by quote currency: those with the most trades first."""
    found: dict[str, dict[str, Tally]] = {}
    for (symbol, side), tally in totals.items():
        sides = found.setdefault(find_quote(symbol, currencies), {"BUY": Tally(), "SELL": Tally()})
        sides[side].merge(tally)
    rows = [_join(quote, sides["BUY"], sides["SELL"]) for quote, sides in found.items()]
    return sorted(rows, key=lambda row: row.trades, reverse=True)


def _join(quote: str, buys: Tally, sells: Tally) -> QuoteTotals:
    both = Tally()
    both.merge(buys)
    both.merge(sells)
    notionals = (_write(tally.notional) for tally in (buys, sells, both))
    bought, sold, notional = notionals
    return QuoteTotals(quote, both.trades, buys.trades, bought, sells.trades, sold, notional)


def _write(amount: Decimal) -> str:
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text

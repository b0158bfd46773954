"""The quote currency of a symbol: what its price is in, and so its notional and its fee."""

from functools import lru_cache
from typing import Final

CURRENCIES: Final = (
    *("USDT", "USDC", "FDUSD", "USD", "EUR", "GBP", "JPY", "CHF", "AUD", "CAD", "NZD", "KRW", "TRY", "BRL"),
    *("BTC", "ETH", "BNB"),
)
"""The endings that are known unless the settings name others."""

OTHER_QUOTE: Final = "other"
"""The quote of symbols that name none; in lower case, so no symbol can name it."""


@lru_cache(maxsize=4096)
def find_quote(symbol: str, currencies: tuple[str, ...]) -> str:
    """Find the quote currency of a symbol, in upper case.

    It is what follows the ``/``, up to a ``:``, else the longest of ``currencies`` in which the symbol ends, else
    OTHER_QUOTE. Notionals of different quotes are never added up.
    """
    base, _, rest = symbol.partition("/")
    quote = rest.partition(":")[0].strip()
    if base and quote:
        return _to_upper(quote)
    name = _to_upper(symbol)
    endings = [currency for currency in currencies if name.endswith(currency) and name != currency]
    return max(endings, key=len, default=OTHER_QUOTE)


def _to_upper(text: str) -> str:
    # ASCII letters only, as in symbols: "ß" must not become two letters.
    return text.encode().upper().decode()

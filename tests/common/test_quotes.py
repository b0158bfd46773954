import pytest

from common.quotes import CURRENCIES, OTHER_QUOTE, find_quote


@pytest.mark.parametrize(
    ("symbol", "quote"),
    [
        ("BTC/USDT", "USDT"),
        ("BTC/USDT:USDT", "USDT"),
        ("BTC/USD:BTC-240927", "USD"),
        ("BINANCE:ETH/BTC", "BTC"),
        ("ETH/XYZ", "XYZ"),
        ("kPEPE/usdt", "USDT"),
        ("X/other", "OTHER"),
        ("X/ß", "ß"),
        ("BTCUSDT", "USDT"),
        ("BTCFDUSD", "FDUSD"),
        ("ETHBTC", "BTC"),
        ("BTC-EUR", "EUR"),
        ("kPEPEusd", "USD"),
        ("BTC", OTHER_QUOTE),
        ("USD", OTHER_QUOTE),
        ("AAPL", OTHER_QUOTE),
        ("/ES", OTHER_QUOTE),
        ("/6JUSD", "USD"),
        ("ABC/", OTHER_QUOTE),
        ("ABCEUR/:X", OTHER_QUOTE),
        ("^GSPC", OTHER_QUOTE),
    ],
)
def test_the_quote_is_what_follows_the_slash_or_a_known_ending(symbol: str, quote: str) -> None:
    assert find_quote(symbol, CURRENCIES) == quote


def test_the_longest_known_ending_counts_whatever_the_order() -> None:
    assert find_quote("XAUSD", ("USD", "AUSD")) == "AUSD"
    assert find_quote("XAUSD", ("AUSD", "USD")) == "AUSD"
    assert find_quote("XAUSD", ()) == OTHER_QUOTE

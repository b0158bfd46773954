import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.symbols import LENGTH, SENT_LENGTH, is_symbol, read_symbol, read_symbols

KEPT = (
    *(
        "BTCUSDT",
        "BTC/USDT:USDT",
        "^GSPC",
        "ES=F",
        "M&M.NS",
        "BRK B",
        "BRK  B",
        "ES1!",
        "@107",
        "USD₮",
        "kPEPE",
        "Other",
    ),
    *(
        "0x5B1869D9A4C187F2EAA108F3062412ECF0526B24",
        "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
        "贵州茅台",
        "한국전력",
    ),
    *(
        "ТИКЕР",
        "สต็อก",
        "سهم",
        "É",
        "İ",
        "ß",
        "ﬁ",
        "-",
        "'A",
        "=1+1",
        '"A"',
        "A,B",
        "A;B",
        "<B>",
        "{{7*7}}",
        "\\N",
        "😀",
        "7",
    ),
    *("A" * LENGTH, "😀" * LENGTH, "é" * LENGTH),
)


@pytest.mark.parametrize("symbol", KEPT)
def test_a_symbol_is_kept(symbol: str) -> None:
    assert read_symbol(symbol) == symbol
    assert is_symbol(symbol)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("btcusdt", "BTCUSDT"),
        ("btc/usdt:usdt", "BTC/USDT:USDT"),
        ("usd₮", "USD₮"),
        ("brk b", "BRK B"),
        ("other", "OTHER"),
        ("e\u0301", "\u00e9"),
        ("E\u0301", "\u00c9"),
        ("\u00e9t\u00e9", "\u00e9T\u00e9"),
        ("\u212b", "\u00c5"),
        ("\u212aaaa", "Kaaa"),
        ("i\u0307", "\u0130"),
        ("\u017f", "\u017f"),
        ("\u0131", "\u0131"),
        ("\u1100\u1161", "\uac00"),
        ("a\u0301" * LENGTH, "\u00e1" * LENGTH),
    ],
    ids=ascii,
)
def test_a_symbol_is_composed_and_gets_ascii_capitals_unless_it_has_one(sent: str, kept: str) -> None:
    assert read_symbol(sent) == kept
    assert is_symbol(kept)
    assert is_symbol(sent) == (sent == kept)


@pytest.mark.parametrize(
    "sent",
    [
        *(
            "",
            " ",
            " BTC",
            "BTC ",
            "A\n",
            "\tA",
            "B\u0000C",
            "A\u00a0B",
            "A\u2028B",
            "A\u200bB",
            "A\u200dB",
            "\ufeffA",
            "\x7f",
        ),
        *("\u202eBTC", "A\u2066B\u2069", "\u200f", "\ud800", "A\udfffB", "\U0010ffff", "\u0378", "\ue000", "\u3000"),
        *(
            "A" * (LENGTH + 1),
            "😀" * (LENGTH + 1),
            "e\u0301" * (LENGTH + 1),
            "i\u0307" * LENGTH,
            "A" * (SENT_LENGTH + 1),
        ),
    ],
    ids=ascii,
)
def test_what_is_no_symbol_is_rejected(sent: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        read_symbol(sent)


@given(
    st.text(max_size=70)
    | st.text(st.characters(categories=["Ll", "Lu", "Mn", "Nd", "Po", "Sc"]), min_size=1, max_size=64)
)
def test_a_canonical_symbol_stays_as_it_is(sent: str) -> None:
    composed = unicodedata.normalize("NFC", sent)
    try:
        symbol = read_symbol(sent)
    except ValueError:
        assert not composed.isprintable() or composed.strip(" ") != composed or not 1 <= len(composed) <= LENGTH
    else:
        assert read_symbol(symbol) == symbol
        has_capital = any("A" <= each <= "Z" for each in composed)
        raised = "".join(each.upper() if "a" <= each <= "z" else each for each in composed)
        assert symbol == (composed if has_capital else unicodedata.normalize("NFC", raised))


def test_no_symbol_within_the_length_comes_from_a_longer_text() -> None:
    longest = max(len(unicodedata.normalize("NFD", chr(point))) for point in range(0x110000))
    assert longest * LENGTH == SENT_LENGTH


def test_the_longest_text_of_a_symbol_is_accepted() -> None:
    symbol = "\u1f82" * LENGTH
    sent = unicodedata.normalize("NFD", symbol)
    assert len(sent) == SENT_LENGTH
    assert read_symbol(sent) == symbol


def test_a_list_is_separated_by_commas_only() -> None:
    assert read_symbols("btcusdt, BRK B ,ES=F;X,,kPEPE,") == ("BTCUSDT", "BRK B", "ES=F;X", "kPEPE")
    assert read_symbols("") == read_symbols(" , ") == ()
    with pytest.raises(ValueError, match=r"^$"):
        read_symbols("BTC,A\tB")

import pytest

from common.display import shorten, show_text


@pytest.mark.parametrize("text", ["", "BTC/USDT:USDT", "USD₮", "سهم", 'say "hi"', "a\\b", "it's", "漢" * 64, "e\u0301"])
def test_what_prints_is_shown_as_it_is(text: str) -> None:
    assert show_text(text) == f'"{text}"'
    assert shorten(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n\tb\x00", r"a\n\tb\x00"),
        ("\u202eBTC", r"\u202eBTC"),
        ("\ud800", r"\ud800"),
        ("\U000e0001₮", r"\U000e0001₮"),
        ("a\u00a0b", r"a\xa0b"),
    ],
    ids=ascii,
)
def test_what_does_not_print_is_an_escape(text: str, shown: str) -> None:
    assert show_text(text) == f'"{shown}"'
    assert shorten(text) == shown


def test_a_long_text_is_cut_and_its_length_given() -> None:
    assert show_text("é" * 65) == f'"{"é" * 64}…" (65 characters)'
    assert shorten("é" * 65) == "é" * 63 + "…"

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.decimals import DIGITS, PLACES, are_plain, is_zero, read_decimal, read_wholes
from common.tally import EXACT

WIDEST = f"{'9' * DIGITS}.{'9' * PLACES}"
SMALLEST = f"0.{'0' * (PLACES - 1)}1"

FORMS = {
    "1": "1",
    "0.250": "0.250",
    "007": "007",
    "100": "100",
    WIDEST: WIDEST,
    SMALLEST: SMALLEST,
    "1e-7": "0.0000001",
    "1E-18": SMALLEST,
    "1e3": "1000",
    "1E+3": "1000",
    "1e0": "1",
    "1e19": "1" + "0" * 19,
    "1.50e1": "15.0",
    "1.50e2": "150",
    "1.5e2": "150",
    "0.250e1": "2.50",
    "100e-2": "1.00",
    "007e1": "70",
    "12345e-2": "123.45",
    "0." + "0" * 40 + "1e41": "1",
    "0": "0",
    "0.00": "0.00",
    "0e5": "0",
    "0.0e-2": "0.000",
}


@pytest.mark.parametrize(("sent", "kept"), FORMS.items())
def test_every_digit_is_kept_and_an_exponent_is_written_out(sent: str, kept: str) -> None:
    assert read_decimal(sent) == kept


@pytest.mark.parametrize(
    "sent",
    [
        *("", " ", "abc", "-1", "+1", "-0", "NaN", "sNaN", "Infinity", "inf", "-Infinity", "true", "None"),
        *("1e400", "1e-40", "1e20", "1e-19", "10e19", "1.0e-18", "1e999999999", "1e-999999999", "1e9999999999"),
        *("9" * 40, "1" + "0" * DIGITS, "0." + "1" * (PLACES + 1), "1." + "0" * (PLACES + 1), "0" * 21),
        *(".5", "5.", "5.e1", ".5e1", "1,5", "1.2.3", "1e", "e1", "1e1.0", "1e 1", "1e--1", "1ee1", "1d5"),
        *("1_000", "1_0e1", "1e1_0", "0x10", "0b1", "1 000", "1\u00a0000", " 1", "1 ", "1\n", "1e1\n", "1\u0000"),
        *("\uff11", "1\uff10", "\u0661", "1e\u0661", "\u00b2", "½", "1\ud800", "£1", "1%", "1.5f", "Decimal('1')"),
    ],
)
def test_what_is_no_decimal_or_has_too_many_digits_is_rejected(sent: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        read_decimal(sent)


@given(st.decimals(min_value=Decimal(SMALLEST), max_value=Decimal(WIDEST)))
def test_a_number_in_any_notation_is_kept_exactly_or_rejected(number: Decimal) -> None:
    for sent in (f"{number:f}", f"{number:e}", f"{number:E}", str(number)):
        exponent = Decimal(sent).as_tuple().exponent
        assert isinstance(exponent, int)
        if exponent < -PLACES:
            with pytest.raises(ValueError, match=r"^$"):
                read_decimal(sent)
        else:
            kept = read_decimal(sent)
            assert Decimal(kept) == number
            assert read_decimal(kept) == kept
            assert len(kept.partition(".")[2]) == max(0, -exponent)


@pytest.mark.parametrize("sent", ["9" * 2_000_000 + "e-2000000", "0." + "0" * 2_000_000 + "e1", "1e" + "9" * 2_000_000])
def test_a_long_text_is_not_written_out(sent: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        read_decimal(sent)


def test_zero_is_recognised_in_every_form() -> None:
    assert [is_zero(text) for text in ("0", "00", "0.000", "0.001", "10", SMALLEST)] == [True] * 3 + [False] * 3


@pytest.mark.parametrize(
    "texts", [["1", "2 3"], ["1 2", ""], ["1", "x"], ["1.", "5"], ["1e3"], ["1", "0" * 21], ["1", " "]]
)
def test_several_are_plain_only_if_each_is(texts: list[str]) -> None:
    assert not are_plain(texts, may_be_zero=True)


def test_plain_ones_are_above_zero_unless_they_may_be() -> None:
    assert are_plain(["1", "0.250", WIDEST, SMALLEST], may_be_zero=False)
    assert are_plain(["1", "0.00"], may_be_zero=True)
    assert not are_plain(["1", "0.00"], may_be_zero=False)


WHOLE = st.integers(0, 10**DIGITS - 1).map(str)
SHORT = st.integers(0, 10**15 - 1).flatmap(
    lambda digits: st.integers(0, 14).map(lambda places: f"{digits // 10**places}.{digits % 10**places:0{places}}")
)
ANY = st.one_of(
    st.sampled_from(["0", "1", "007.5", "0.50", "2.25", "9007199254740991", "9007199254740993", WIDEST, SMALLEST]),
    st.integers(1, 9999).map(lambda cents: f"{cents / 100:.2f}"),
    SHORT.map(lambda text: text.removesuffix(".0")),
    WHOLE,
)


@given(st.lists(ANY, min_size=1, max_size=20))
def test_whole_numbers_are_the_decimals_in_their_smallest_unit(texts: list[str]) -> None:
    found = read_wholes(texts)
    assert found.places <= max(len(text.partition(".")[2]) for text in texts)
    with localcontext(EXACT):
        assert [Decimal(number).scaleb(-found.places) for number in found.numbers] == list(map(Decimal, texts))


@pytest.mark.parametrize(
    "text", ["9007199254740993", "999999999999999.1", "1.0000000000000000001", "0.30000000000000001"]
)
def test_digits_that_a_float_does_not_keep_are_read(text: str) -> None:
    found = read_wholes([text] * 20)
    assert found.numbers == [int(text.replace(".", ""))] * 20
    found = read_wholes([*["1.0"] * 20, text])
    assert Decimal(found.numbers[-1]).scaleb(-found.places) == Decimal(text)
